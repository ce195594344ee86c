package vendors

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// VSCO simulates a studio at VSCO Workspace: the part of API v2 that keeps calendar entries. It has no
// idempotency key, so whoever posts twice has two entries.
type VSCO struct {
	*web
	key    string
	limits *pace // nil without Config.RateLimits

	mu      sync.Mutex
	entries []map[string]any // as they were made, the oldest first
	replace bool             // an update leaves nothing that it does not say
}

var _ Vendor = (*VSCO)(nil)

// vscoPerSecond is a quota of the simulator's own: Workspace documents that there is one, but not which.
const vscoPerSecond = 10

// StartVSCO starts the simulator. ctx bounds the start only.
func StartVSCO(ctx context.Context, cfg Config) (*VSCO, error) {
	v := &VSCO{key: secret("vsco", "api_key")}
	if cfg.RateLimits {
		v.limits = newPace(vscoPerSecond, vscoPerSecond, 0, 0)
	}
	_, err := startWeb(ctx, "vsco", cfg, func(mux *http.ServeMux, s *web) {
		v.web = s
		control(mux, s, v)
		list := s.handle(taker{take: v.list, fail: vscoFailure, probe: true})
		mux.HandleFunc("GET /event", func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Has("externalMappingId") { // goes before a write, which is what the faults are for
				write(w, v.list(req, nil))
				return
			}
			list(w, req)
		})
		mux.HandleFunc("POST /event", s.handle(taker{read: readWedsync, take: v.post, fail: vscoFailure}))
		mux.HandleFunc("PUT /event/{id}", s.handle(taker{read: readWedsync, take: v.put, fail: vscoFailure}))
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Integration gives an integration with this simulator and its key.
func (v *VSCO) Integration(id string) (event.Integration, event.Secrets) {
	in := v.integrationOf(id, "VSCO Workspace", event.PhotographyCRM, map[string]any{
		"base_url": v.url, "link": "https://weddings.example.com/couples",
	})
	return in, event.Secrets{"api_key": {event.SecretOf(v.key)}}
}

// ReplaceEntries has updates replace the entry from now on, but for what cannot be updated. At first they keep
// what they leave out: Workspace does not document which it does.
func (v *VSCO) ReplaceEntries() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.replace = true
}

// Entries gives the studio's calendar, the oldest entry first.
func (v *VSCO) Entries() []map[string]any {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.entries)
}

// barred answers a call without the key, or one too many.
func (v *VSCO) barred(req *http.Request) (reply, bool) {
	switch {
	case !hmac.Equal([]byte(req.Header.Get("X-Api-Key")), []byte(v.key)):
		return vscoFailure(http.StatusUnauthorized, ""), true
	case v.limits != nil && v.limits.allow(v.cfg.Now(), "") != allowed:
		return vscoFailure(http.StatusTooManyRequests, ""), true
	}
	return reply{}, false
}

func (v *VSCO) list(req *http.Request, _ []byte) reply {
	if r, barred := v.barred(req); barred {
		return r
	}
	query := req.URL.Query()
	if n, err := strconv.Atoi(query.Get("pageSize")); err != nil || n < 10 || n > 100 {
		return vscoInvalid(map[string]string{"pageSize": "must be from 10 to 100"})
	}
	found := []map[string]any{}
	for _, e := range v.Entries() {
		if !query.Has("externalMappingId") || vscoMapped(e, query.Get("externalMappingId")) {
			found = append(found, e)
		}
	}
	return jsonReply(http.StatusOK, map[string]any{"type": "event-collection", "items": found})
}

func vscoMapped(entry map[string]any, id string) bool {
	mappings, _ := entry["externalMappings"].([]any)
	return slices.ContainsFunc(mappings, func(m any) bool { f, _ := m.(map[string]any); return f["id"] == id })
}

func (v *VSCO) post(req *http.Request, body []byte) reply {
	if r, barred := v.barred(req); barred {
		return r
	}
	e, err := readVSCO(body, true)
	if err != nil {
		return vscoInvalid(err.Error())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	e["id"] = fmt.Sprintf("01h35ccwymj5ctckp8%08d", len(v.entries))
	v.entries = append(v.entries, e)
	r := jsonReply(http.StatusCreated, e)
	r.taken = true
	return r
}

func (v *VSCO) put(req *http.Request, body []byte) reply {
	if r, barred := v.barred(req); barred {
		return r
	}
	changes, err := readVSCO(body, false)
	if err != nil {
		return vscoInvalid(err.Error())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.IndexFunc(v.entries, func(e map[string]any) bool { return e["id"] == req.PathValue("id") })
	if i < 0 {
		return vscoFailure(http.StatusNotFound, "")
	}
	changed := maps.Clone(v.entries[i])
	if v.replace {
		changed = map[string]any{"id": changed["id"], "externalMappings": changed["externalMappings"]}
	}
	maps.Copy(changed, changes)
	v.entries[i] = changed
	r := jsonReply(http.StatusOK, changed)
	r.taken = true
	return r
}

// readVSCO checks an entry against the fields of the schema Event that may be written.
func readVSCO(body []byte, isNew bool) (map[string]any, error) {
	var e map[string]any
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	for name, value := range e {
		if value == nil && (name == "endDate" || name == "endTime") {
			continue // NullableDate, NullableTime
		}
		text, _ := value.(string)
		var err error
		switch name {
		case "startDate", "endDate":
			_, err = time.Parse(time.DateOnly, text)
		case "startTime", "endTime":
			_, err = time.Parse(time.TimeOnly, text)
		case "name":
			if len([]rune(text)) > 255 {
				err = errors.New("is longer than 255 characters")
			}
		case "descriptionHtml", "confirmed", "jobId", "location":
		case "externalMappings":
			if !isNew {
				err = errors.New("can not be updated currently")
			}
		default:
			err = errors.New("is not known")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return e, missing(e, "startDate", "startTime", "descriptionHtml")
}

// vscoFailure is an error of the schema Error. Faults may give it a type.
func vscoFailure(status int, kind string) reply {
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if kind == "" {
		kind = "unknown"
	}
	if status == http.StatusTooManyRequests {
		kind = "quota-limit"
	}
	r := jsonReply(status, map[string]any{"type": kind, "title": http.StatusText(status), "detail": "See info.", "status": status})
	if status == http.StatusTooManyRequests {
		r.header.Set("Retry-After", "1")
	}
	return r
}

func vscoInvalid(detail any) reply {
	return jsonReply(http.StatusBadRequest, map[string]any{
		"type": "validation-error", "title": "Validation Error", "detail": detail, "status": http.StatusBadRequest,
	})
}
