package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

type syncProfilesInput struct {
	ID   string `path:"id" doc:"The integration."`
	Body struct {
		SyncID   string          `json:"syncId,omitempty" maxLength:"64" doc:"1 to 64 of A-Za-z0-9_-. The same one again goes on with that sync: nothing is told twice, and clients can be added. Default: a new one."`
		Profiles []event.Profile `json:"profiles" minItems:"1" maxItems:"500" doc:"Each client once. Markup and control characters are taken out, as from events."`
	}
}

type profileSyncInput struct {
	ID     string `path:"id" doc:"The integration."`
	SyncID string `path:"syncId" doc:"The sync."`
}

func (a *API) routeProfiles(h huma.API) {
	const path = "/api/integrations/{id}/client-profiles/sync"
	handle(h, huma.Operation{
		OperationID: "sync-client-profiles", Method: http.MethodPost, Path: path, Tags: []string{"integrations"},
		Security: needs(access.ProfilesSync), DefaultStatus: http.StatusAccepted,
		Summary: "Have the vendor told of clients",
		Description: "Answers once that is durable, with how each client stands; ask for the sync to see it go on. Each profile is delivered by " +
			"itself: in its client's order, signed, retried, and to the dead letters where the vendor refuses it. One that the vendor has " +
			"already is unchanged and not sent. To vendors with profiles, see /api/vendors.",
	}, a.syncProfiles)
	handle(h, huma.Operation{
		OperationID: "get-client-profile-sync", Method: http.MethodGet, Path: path + "/{syncId}", Tags: []string{"integrations"},
		Security: needs(access.ProfilesSync), Summary: "Show how a sync of clients stands", Description: "For a week from its last change.",
	}, a.profileSync)
}

func (a *API) syncProfiles(ctx context.Context, in *syncProfilesInput) (_ *body[event.ProfileSync], err error) {
	out := event.ProfileSync{SyncID: in.Body.SyncID}
	done := a.onIntegration(ctx, "integration.sync_profiles", in.ID)
	defer func() { done(fmt.Sprintf("%.64s: %d profiles", out.SyncID, len(in.Body.Profiles)), err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	profiles := make([]event.Profile, len(in.Body.Profiles))
	for i := range in.Body.Profiles {
		if profiles[i], err = a.cleanProfile(&in.Body.Profiles[i], i); err != nil {
			return nil, err
		}
	}
	sync, err := a.cfg.Engine.SyncClientProfiles(ctx, in.ID, in.Body.SyncID, profiles)
	if err != nil {
		return nil, profilesProblem(err, in.Body.SyncID)
	}
	out = sync
	return &body[event.ProfileSync]{out}, nil
}

// cleanProfile takes out of a profile what is taken out of events.
func (a *API) cleanProfile(p *event.Profile, at int) (clean event.Profile, err error) {
	if err := p.Check(); err != nil { // the id makes a channel
		return clean, err.In(fmt.Sprintf("profiles[%d]", at))
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return clean, err
	}
	ev, err := a.cfg.Publisher.Prepare(ingest.Draft{
		Channel: event.ProfileChannel(p.ClientID), Type: event.TypeClientProfile, Payload: raw, Source: "api", WeddingID: p.ClientID,
	})
	if err != nil {
		return clean, err
	}
	err = json.Unmarshal(ev.Payload, &clean)
	return clean, err
}

func (a *API) profileSync(ctx context.Context, in *profileSyncInput) (*body[event.ProfileSync], error) {
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	if event.CheckID(in.SyncID) != nil {
		return nil, noSync(in.SyncID)
	}
	sync, err := a.cfg.Engine.ClientProfileSync(ctx, in.ID, in.SyncID)
	return &body[event.ProfileSync]{sync}, profilesProblem(err, in.SyncID)
}

func noSync(id string) error {
	return problem.New(problem.SyncUnknown, "there is no sync %.80q with this integration; they are kept for a week", id)
}

// profilesProblem says what an error of syncing means; others are problemOf's.
func profilesProblem(err error, syncID string) error {
	var settings *adapter.SettingsError
	switch {
	case errors.Is(err, actors.ErrNoProfiles):
		return problem.New(problem.NoProfiles, "%v", err)
	case errors.Is(err, actors.ErrPassedOver):
		return problem.New(problem.IntegrationDisabled, "enable the integration first").Because(err)
	case errors.Is(err, actors.ErrSyncReused):
		return problem.New(problem.SyncReused, "%v", err)
	case errors.Is(err, journal.ErrNotFound):
		return noSync(syncID)
	case errors.As(err, &settings):
		p := problem.New(problem.IntegrationBroken, "some of what %s needs is missing or wrong", settings.Vendor)
		p.Errors = fieldsOf(settings)
		return p
	}
	return err
}
