package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/edge/access"
)

// backupTakes bounds a backup: all of the log goes over the connection.
const backupTakes = 12 * time.Hour

// backupProblem is the part that says why a backup was cut short.
const backupProblem = "problem.json"

func (a *API) routeBackup(h huma.API) {
	handle(h, huma.Operation{
		OperationID: "backup-log", Method: http.MethodGet, Path: "/api/log/backup", Tags: []string{"about"}, Security: needs(access.Admin),
		Summary: "Read a backup of the log, while the node goes on", Metadata: map[string]any{takes: backupTakes},
		Description: `Answers with multipart/mixed, a part for each file, the last of them manifest.json. Where it could not be finished the last is ` +
			backupProblem + `, a problem. "wedsync log backup" makes a folder of it. Secrets are in it as they are stored: sealed.`,
	}, a.backupLog)
}

func (a *API) backupLog(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(h huma.Context) {
		out := multipart.NewWriter(h.BodyWriter())
		h.SetHeader("Content-Type", "multipart/mixed; boundary="+out.Boundary())
		part := func(file string) (io.Writer, error) {
			return out.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("attachment; filename=%q", file)}})
		}
		err := a.cfg.History.Backup(ctx, true, part, nil)
		a.audit(ctx, nil, "log.backup", a.cfg.Node, "", err)
		if err != nil {
			if w, partErr := part(backupProblem); partErr == nil {
				_ = json.NewEncoder(w).Encode(problemOf(err)) // the connection may be what failed
			}
		}
		_ = out.Close()
	}}, nil
}
