package admin

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

// site is where the pages are.
type site struct {
	admin *Admin
	mux   *http.ServeMux
	pages []*page // in the order of the navigation
}

// page is one that can be looked at.
type page struct {
	path  string       // as http.ServeMux takes it
	name  string       // in the navigation; "": it is not there
	icon  string       // beside the name, see icon
	under string       // the address of the page in the navigation that it belongs to
	scope access.Scope // what a key needs to see it
	show  func(*visit) (screen, error)
}

// screen is a page as somebody sees it.
type screen struct {
	title  string
	body   templ.Component
	live   []part
	charts bool // there may be some
}

// part is a piece of a screen that is sent anew when it has changed. Its component is one element with that id, and the
// same for all who have the same rights: it never says who looks.
type part struct {
	id   string
	body templ.Component
}

// visit is a request of somebody who is signed in.
type visit struct {
	*http.Request
	api.Local
	admin *Admin
	page  *page // nil: an act
	token string
}

// may reports whether who is signed in may do that.
func (v *visit) may(s access.Scope) bool { return v.Caller().Has(s) }

// now is the time by the node's clock.
func (v *visit) now() time.Time { return v.admin.cfg.Now() }

// query returns a parameter of the address.
func (v *visit) query(name string) string { return v.URL.Query().Get(name) }

// htmx reports whether a part of a page is asked for.
func (v *visit) htmx() bool { return isHTMX(v.Request) }

func isHTMX(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// menu returns the pages that the navigation shows to who is signed in.
func (v *visit) menu() []*page {
	return slices.DeleteFunc(slices.Clone(v.admin.site.pages), func(p *page) bool { return p.name == "" || !v.may(p.scope) })
}

// maxForm is how much a form may send.
const maxForm = 256 << 10

// page adds a page, and where its live parts come from.
func (s *site) page(p page) {
	s.pages = append(s.pages, &p)
	s.mux.Handle("GET "+p.path, s.admin.signedIn(func(w http.ResponseWriter, v *visit) { s.admin.showPage(w, v, &p) }))
	s.mux.Handle("GET "+p.path+"/live", s.admin.signedIn(func(w http.ResponseWriter, v *visit) { s.admin.showLive(w, v, &p) }))
}

// part adds a piece of a page that the page asks for by itself (hx-get).
func (s *site) part(path string, component func(*visit) (templ.Component, error)) {
	s.mux.Handle("GET "+path, s.admin.signedIn(func(w http.ResponseWriter, v *visit) { s.answer(w, v, component) }))
}

// act adds something that can be done, by POST. What do returns is swapped into the form's target.
func (s *site) act(path string, do func(*visit) (templ.Component, error)) {
	s.mux.Handle("POST "+path, s.admin.signedIn(func(w http.ResponseWriter, v *visit) {
		if err := v.ParseForm(); err != nil {
			s.admin.fail(w, v, formProblem(err))
			return
		}
		s.answer(w, v, do)
	}))
}

// goTo is what an act returns that leads to another page.
type goTo string

// Render shows nothing: see site.answer.
func (goTo) Render(context.Context, io.Writer) error { return nil }

// answer sends what is swapped into a page, or a page of it.
func (s *site) answer(w http.ResponseWriter, v *visit, component func(*visit) (templ.Component, error)) {
	body, err := component(v)
	to, leads := body.(goTo)
	switch {
	case err != nil:
		s.admin.fail(w, v, err)
	case leads && v.htmx():
		w.Header().Set("HX-Redirect", string(to))
	case leads:
		http.Redirect(w, v.Request, string(to), http.StatusSeeOther)
	case v.htmx():
		s.admin.send(w, v.Request, http.StatusOK, body)
	default:
		s.admin.send(w, v.Request, http.StatusOK, v.layout(screen{title: "wedsync", body: body}))
	}
}

func formProblem(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return problem.Of(err)
	}
	return problem.New(problem.FieldInvalid, "the form cannot be read; load the page again")
}

// open makes the screen of a page, for who may see it.
func (p *page) open(v *visit) (screen, error) {
	if !v.may(p.scope) {
		return screen{}, problem.New(problem.ScopeMissing, "this page needs the scope %s; your API key has %s", p.scope, v.Caller().Scopes())
	}
	s, err := p.show(v)
	s.live = append(s.live, part{"pages", pages(v)})
	return s, err
}

func (a *Admin) showPage(w http.ResponseWriter, v *visit, p *page) {
	v.page = p
	s, err := p.open(v)
	switch {
	case err != nil:
		a.fail(w, v, err)
	case v.htmx():
		a.send(w, v.Request, http.StatusOK, content(v, s))
	default:
		a.send(w, v.Request, http.StatusOK, v.layout(s))
	}
}

// fail tells what went wrong: a page of it, or a notice on the page that is open.
func (a *Admin) fail(w http.ResponseWriter, v *visit, err error) {
	p := problem.Of(err)
	told := *p
	told.RequestID = w.Header().Get(problem.RequestIDHeader)
	if o, ok := w.(problem.Observer); ok {
		o.Observe(&told)
	}
	if v.htmx() {
		w.Header().Set("HX-Retarget", "#notices")
		w.Header().Set("HX-Reswap", "afterbegin")
		a.send(w, v.Request, p.Status, failure(&told))
		return
	}
	a.send(w, v.Request, p.Status, v.layout(screen{title: p.Title, body: broken(&told)}))
}

// smallest is what is worth compressing.
const smallest = 1400

// send renders and sends what is never to be kept.
func (a *Admin) send(w http.ResponseWriter, r *http.Request, status int, body templ.Component) {
	var b bytes.Buffer
	if err := body.Render(r.Context(), &b); err != nil {
		a.cfg.Logger.Error().Err(err).Str("route", r.Pattern).Msg("a page could not be rendered")
		problem.Write(w, r, problem.New(problem.Internal, "the page could not be made; the node's log says more"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if b.Len() < smallest {
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes())
		return
	}
	sendZipped(&late{w, status}, r, b.Bytes(), zip(b.Bytes(), gzip.BestSpeed))
}

// late writes the status when the headers are set.
type late struct {
	http.ResponseWriter
	status int
}

func (l *late) Write(b []byte) (int, error) {
	l.WriteHeader(l.status)
	return l.ResponseWriter.Write(b)
}

// nothing is at every other address.
func (a *Admin) nothing(w http.ResponseWriter, r *http.Request) {
	a.signedIn(func(w http.ResponseWriter, v *visit) {
		a.fail(w, v, problem.New(problem.NotFound, "there is no page at %.200q", v.URL.Path))
	}).ServeHTTP(w, r)
}

// inside reports whether an address is one of ours to go to. Browsers read a backslash as a slash, so that
// "/admin/../\evil.example" would lead to another site.
func inside(to string) bool {
	u, err := url.Parse(to)
	return err == nil && !strings.Contains(to, `\`) && u.Scheme == "" && u.Host == "" && len(u.Path) > len("/admin/") && u.Path[:len("/admin/")] == "/admin/"
}
