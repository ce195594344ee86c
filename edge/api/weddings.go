package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type eraseInput struct {
	ID   string `path:"id" minLength:"1" maxLength:"128" doc:"The wedding, as events name it."`
	Body struct {
		DryRun bool `json:"dryRun,omitempty" doc:"Only count what there is."`
	}
}

// ofWedding is what there is of a wedding, or was.
type ofWedding struct {
	journal.Erased
	Rows uint64 `json:"rows" doc:"Rows in ClickHouse that name it. They stay, without the name."`
}

type erasedWedding struct {
	DryRun    bool      `json:"dryRun"`
	Analytics bool      `json:"analytics" doc:"Whether there is a ClickHouse. Without it, the wedding's records in the log are removed, too."`
	Removed   ofWedding `json:"removed"`
	Left      ofWedding `json:"left" doc:"What was found when it was looked for again. More than nothing: the wedding is still written to; erase it again."`
}

// erasingTakes bounds an erasure: it reads all of the log.
const erasingTakes = 10 * time.Minute

func (a *API) routeWeddings(h huma.API) {
	handle(h, huma.Operation{
		OperationID: "erase-wedding", Method: http.MethodPost, Path: "/api/weddings/{id}/erase", Tags: []string{"weddings"},
		Security: needs(access.WeddingsErase), DefaultStatus: http.StatusOK, Metadata: map[string]any{takes: erasingTakes},
		Summary: "Remove a couple's personal data",
		Description: "Their events, the deliveries that wait, the dead letters and what is remembered of their profiles are overwritten and deleted; rows in ClickHouse lose what " +
			"identifies them; without ClickHouse, the records that wait in the log go too. Then it is looked again, and the answer tells what is left. What vendors were sent is theirs.",
	}, a.eraseWedding)
}

func (a *API) eraseWedding(ctx context.Context, in *eraseInput) (_ *body[erasedWedding], err error) {
	out := erasedWedding{DryRun: in.Body.DryRun}
	if !in.Body.DryRun {
		defer func() {
			r := out.Removed
			a.audit(ctx, nil, "wedding.erase", pseudonym(in.ID), fmt.Sprintf("%d events, %d deliveries, %d dead letters, %d of profiles, %d records, %d rows",
				r.Events, r.Deliveries, r.DeadLetters, r.Clients, r.Records, r.Rows), err)
		}()
	}
	what := actors.Erase{Wedding: in.ID, Records: a.cfg.Analytics() == nil, Only: in.Body.DryRun}
	if out.Removed.Erased, out.Left.Erased, err = a.cfg.Engine.Erase(ctx, what); err != nil {
		return nil, err
	}
	s := a.cfg.Analytics() // asked again: it may have come meanwhile, and have taken records
	if out.Analytics = s != nil; s == nil {
		return &body[erasedWedding]{out}, nil
	}
	if in.Body.DryRun {
		out.Left.Rows, err = s.Identified(ctx, in.ID)
	} else {
		out.Removed.Rows, out.Left.Rows, err = s.Erase(ctx, in.ID)
	}
	if err != nil {
		return nil, problem.New(problem.AnalyticsFailed, "the log is done, ClickHouse is not; erase it again").Because(err)
	}
	return &body[erasedWedding]{out}, nil
}

// pseudonym lets who knows a wedding's id find its erasure among audit records, and nobody find the id:
// a random salt, and the SHA-256 of it and the id.
func pseudonym(id string) string {
	salt := rand.Text()
	sum := sha256.Sum256([]byte(salt + id))
	return salt + ":" + hex.EncodeToString(sum[:])
}
