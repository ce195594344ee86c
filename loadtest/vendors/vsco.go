package vendors

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// VSCO simulates a studio at VSCO Workspace: the part of API v2 that keeps calendar entries and the address
// book. It has no idempotency key, so whoever posts twice has two of it.
type VSCO struct {
	*web
	key    string
	limits *pace // nil without Config.RateLimits

	mu       sync.Mutex
	entries  vscoShelf
	contacts vscoShelf
	replace  bool // an update leaves nothing that it does not say
}

// vscoShelf is a collection of the API.
type vscoShelf struct {
	kind    string
	read    func(body []byte, isNew bool) (map[string]any, error)
	selects func(item map[string]any, query url.Values) bool
	items   []map[string]any // as they were made, the oldest first
}

var _ Keeper = (*VSCO)(nil)

// vscoPerSecond is a quota of the simulator's own: Workspace documents that there is one, but not which.
const vscoPerSecond = 10

// StartVSCO starts the simulator. ctx bounds the start only.
func StartVSCO(ctx context.Context, cfg Config) (*VSCO, error) {
	v := &VSCO{
		key: secret("vsco", "api_key"),
		entries: vscoShelf{kind: "event-collection", read: readVSCO, selects: func(e map[string]any, q url.Values) bool {
			return !q.Has("externalMappingId") || vscoMapped(e, q.Get("externalMappingId"))
		}},
		contacts: vscoShelf{kind: "addressbook-collection", read: readVSCOPerson, selects: func(e map[string]any, q url.Values) bool {
			return !q.Has("email") || e["email"] == q.Get("email")
		}},
	}
	if cfg.RateLimits {
		v.limits = newPace(vscoPerSecond, vscoPerSecond, 0, 0)
	}
	_, err := startWeb(ctx, "vsco", cfg, func(mux *http.ServeMux, s *web) {
		v.web = s
		control(mux, s, v)
		for path, shelf := range map[string]*vscoShelf{"/event": &v.entries, "/address-book": &v.contacts} {
			list := s.handle(taker{take: v.list(shelf), fail: vscoFailure, probe: true})
			mux.HandleFunc("GET "+path, func(w http.ResponseWriter, req *http.Request) {
				if q := req.URL.Query(); q.Has("externalMappingId") || q.Has("email") { // goes before a write, which is what the faults are for
					write(w, v.list(shelf)(req, nil))
					return
				}
				list(w, req)
			})
			mux.HandleFunc("POST "+path, s.handle(taker{read: readWedsync, take: v.post(shelf), fail: vscoFailure}))
			mux.HandleFunc("PUT "+path+"/{id}", s.handle(taker{read: readWedsync, take: v.put(shelf), fail: vscoFailure}))
		}
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
func (v *VSCO) Entries() []map[string]any { return v.on(&v.entries) }

func (v *VSCO) on(shelf *vscoShelf) []map[string]any {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(shelf.items)
}

// Clients gives the contacts of the address book that are mapped to a client of ours; of two that are
// mapped to one client, the later one.
func (v *VSCO) Clients() map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, contact := range v.on(&v.contacts) {
		mappings, _ := contact["externalMappings"].([]any)
		for _, m := range mappings {
			if mapping, ok := m.(map[string]any); ok {
				all[fmt.Sprint(mapping["id"])] = contact
			}
		}
	}
	return all
}

// Contacts gives the address book, the oldest contact first.
func (v *VSCO) Contacts() []map[string]any { return v.on(&v.contacts) }

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

func (v *VSCO) list(shelf *vscoShelf) func(*http.Request, []byte) reply {
	return func(req *http.Request, _ []byte) reply {
		if r, barred := v.barred(req); barred {
			return r
		}
		query := req.URL.Query()
		if n, err := strconv.Atoi(query.Get("pageSize")); err != nil || n < 10 || n > 100 {
			return vscoInvalid(map[string]string{"pageSize": "must be from 10 to 100"})
		}
		found := []map[string]any{}
		for _, e := range v.on(shelf) {
			if shelf.selects(e, query) {
				found = append(found, e)
			}
		}
		return jsonReply(http.StatusOK, map[string]any{"type": shelf.kind, "items": found})
	}
}

func vscoMapped(entry map[string]any, id string) bool {
	mappings, _ := entry["externalMappings"].([]any)
	return slices.ContainsFunc(mappings, func(m any) bool { f, _ := m.(map[string]any); return f["id"] == id })
}

func (v *VSCO) post(shelf *vscoShelf) func(*http.Request, []byte) reply {
	return func(req *http.Request, body []byte) reply {
		if r, barred := v.barred(req); barred {
			return r
		}
		e, err := shelf.read(body, true)
		if err != nil {
			return vscoInvalid(err.Error())
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		e["id"] = fmt.Sprintf("01h35ccwymj5ctckp8%08d", len(shelf.items))
		shelf.items = append(shelf.items, e)
		r := jsonReply(http.StatusCreated, e)
		r.taken = true
		return r
	}
}

func (v *VSCO) put(shelf *vscoShelf) func(*http.Request, []byte) reply {
	return func(req *http.Request, body []byte) reply {
		if r, barred := v.barred(req); barred {
			return r
		}
		changes, err := shelf.read(body, false)
		if err != nil {
			return vscoInvalid(err.Error())
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		i := slices.IndexFunc(shelf.items, func(e map[string]any) bool { return e["id"] == req.PathValue("id") })
		if i < 0 {
			return vscoFailure(http.StatusNotFound, "")
		}
		changed := maps.Clone(shelf.items[i])
		if v.replace {
			changed = map[string]any{"id": changed["id"], "externalMappings": changed["externalMappings"]}
		}
		maps.Copy(changed, changes)
		shelf.items[i] = changed
		r := jsonReply(http.StatusOK, changed)
		r.taken = true
		return r
	}
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

// readVSCOPerson checks a contact against the fields of the schemas Contact and Person that we write.
func readVSCOPerson(body []byte, isNew bool) (map[string]any, error) {
	var p map[string]any
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	for name, value := range p {
		text, isText := value.(string)
		var err error
		switch name {
		case "kind":
			if text != "person" {
				err = errors.New("must be person")
			}
		case "firstName", "lastName":
			if !isText || len([]rune(text)) > 48 {
				err = errors.New("must be a text of at most 48 characters")
			}
		case "email":
			_, err = mail.ParseAddress(text)
		case "anniversary":
			_, err = time.Parse(time.DateOnly, text)
		case "cellPhone":
			err = checkVSCOPhone(value)
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
	return p, missing(p, "kind")
}

func checkVSCOPhone(value any) error {
	phone, _ := value.(map[string]any)
	e164, _ := phone["e164"].(string)
	formatted, _ := phone["formatted"].(string)
	if len(phone) != 1 || e164+formatted == "" || len(e164+formatted) > 24 || e164 != "" && !strings.HasPrefix(e164, "+") {
		return errors.New("must have e164, or formatted, of at most 24 characters")
	}
	return nil
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
