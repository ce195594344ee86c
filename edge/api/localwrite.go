package api

import (
	"context"
	"encoding/json"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/problem"
)

// Put is put-integration. A revision in it must still be the stored one.
func (l Local) Put(ctx context.Context, in Integration) (Integration, error) {
	return shown(call(ctx, l, "put-integration", l.api.putIntegration, &putInput{ID: in.ID, Body: in}))
}

// Checked is what is to be checked before it is stored.
type Checked struct {
	ID       string // of an integration that there is; "": of none yet
	Vendor   string // of one that is not there yet
	Settings json.RawMessage
	Secrets  map[string]event.Secret // over those that are in force
}

// Check tells what would be missing or wrong; nothing is stored. It needs what put-integration does.
func (l Local) Check(ctx context.Context, in Checked) ([]problem.Field, error) {
	found, err := call(ctx, l, "put-integration", l.api.check, &in)
	if err != nil {
		return nil, err
	}
	return *found, nil
}

func (a *API) check(ctx context.Context, in *Checked) (*[]problem.Field, error) {
	var err error
	if in.ID == "" {
		vendor, unknown := adapter.Lookup(in.Vendor)
		if unknown != nil {
			return nil, problem.New(problem.IntegrationInvalid, "%v", unknown)
		}
		secrets := event.Secrets{}
		for name, v := range in.Secrets {
			secrets[name] = []event.Secret{v}
		}
		_, err = vendor.Connect(event.Integration{Vendor: in.Vendor, Settings: in.Settings}, secrets)
	} else {
		e, unknown := a.entry(ctx, in.ID)
		if unknown != nil {
			return nil, unknown
		}
		err = e.Check(in.Settings, in.Secrets)
	}
	found := wrongOf(err)
	return &found, nil
}

// Pause is pause-integration.
func (l Local) Pause(ctx context.Context, id, reason string) error {
	in := &pauseInput{ID: id}
	in.Body.Reason = reason
	_, err := call(ctx, l, "pause-integration", l.api.pause, in)
	return err
}

// Resume is resume-integration.
func (l Local) Resume(ctx context.Context, id string) error {
	_, err := call(ctx, l, "resume-integration", l.api.resume, &idInput{id})
	return err
}

// ResetBreaker is reset-breaker.
func (l Local) ResetBreaker(ctx context.Context, id string) error {
	_, err := call(ctx, l, "reset-breaker", l.api.resetBreaker, &idInput{id})
	return err
}

// Reinstate is reinstate-integration.
func (l Local) Reinstate(ctx context.Context, id string) error {
	_, err := call(ctx, l, "reinstate-integration", l.api.reinstate, &idInput{id})
	return err
}

// Test is test-integration, with the vendor's first sample.
func (l Local) Test(ctx context.Context, id string) (event.Attempt, error) {
	return of(call(ctx, l, "test-integration", l.api.test, &testInput{ID: id}))
}

// SetSecrets is set-secrets.
func (l Local) SetSecrets(ctx context.Context, id string, values map[string]event.Secret) error {
	_, err := call(ctx, l, "set-secrets", l.api.setSecrets, &secretsInput{id, values})
	return err
}

// RotateSecret is rotate-secret. The secret cannot be had again.
func (l Local) RotateSecret(ctx context.Context, id, name string) (event.Secret, error) {
	made, err := of(call(ctx, l, "rotate-secret", l.api.rotateSecret, &rotateInput{id, name}))
	return event.SecretOf(made.Secret), err
}

// RetireSecrets is retire-secrets.
func (l Local) RetireSecrets(ctx context.Context, id string) error {
	_, err := call(ctx, l, "retire-secrets", l.api.retireSecrets, &idInput{id})
	return err
}

// Preview is preview-integration, of an event that is stored.
func (l Local) Preview(ctx context.Context, id, channel string, seq uint64) (actors.Preview, error) {
	return of(call(ctx, l, "preview-integration", l.api.previewIntegration, &previewInput{id, previewedEvent{Channel: channel, Seq: seq}}))
}
