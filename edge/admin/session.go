package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

const (
	sessionCookie = "wedsync_session"
	themeCookie   = "wedsync_theme"
	signInPath    = "/admin/sign-in"
)

// policy lets a page load what this node serves, and nothing run that does not stand in a file.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// protect is before all that is served: it says what browsers may do with it, refuses what pages of other origins
// send, and reads no more than a form has: parameters are looked for in bodies too, whoever sends them.
func (a *Admin) protect(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		a.same.Handler(h).ServeHTTP(w, r)
	})
}

// refuseOrigin answers what a page of another origin sends.
func (a *Admin) refuseOrigin(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, problem.New(problem.OriginNotAllowed, "this was sent by a page of another origin; open the admin page itself and do it there"))
}

// signedIn serves who has a session; others are asked to sign in.
func (a *Admin) signedIn(h func(http.ResponseWriter, *visit)) http.Handler {
	return a.protect(func(w http.ResponseWriter, r *http.Request) {
		token := cookie(r, sessionCookie)
		who, err := a.cfg.Sessions.Find(token)
		if err == nil {
			h(w, &visit{Request: r, Local: a.cfg.API.As(who, r), admin: a, token: token})
			return
		}
		a.askToSignIn(w, r)
	})
}

func (a *Admin) askToSignIn(w http.ResponseWriter, r *http.Request) {
	to := signInPath + "?" + url.Values{"to": {r.URL.RequestURI()}}.Encode()
	switch {
	case isHTMX(r):
		if u, err := url.Parse(r.Header.Get("HX-Current-URL")); err == nil {
			to = signInPath + "?" + url.Values{"to": {u.RequestURI()}}.Encode()
		}
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method != http.MethodGet || strings.HasSuffix(r.URL.Path, "/live"):
		problem.Write(w, r, problem.New(problem.KeyMissing, "the session has ended; sign in again"))
	case r.Header.Get("Sec-Fetch-Site") == "cross-site" && cookie(r, sessionCookie) == "":
		// Browsers leave the cookie out where another site's link leads here. The page asks once more, by itself.
		a.send(w, r, http.StatusOK, again(r.URL.RequestURI()))
	default:
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}

func (a *Admin) routeSessions() {
	handle := func(pattern string, h http.HandlerFunc) { a.site.mux.Handle(pattern, a.protect(h)) }
	handle("GET "+signInPath, func(w http.ResponseWriter, r *http.Request) {
		if _, err := a.cfg.Sessions.Find(cookie(r, sessionCookie)); err == nil {
			goOn(w, r)
			return
		}
		a.showSignIn(w, r, http.StatusOK, "")
	})
	handle("POST "+signInPath, a.signIn)
	handle("POST /admin/sign-out", a.signOut)
	handle("POST /admin/theme", a.setTheme)
}

func (a *Admin) showSignIn(w http.ResponseWriter, r *http.Request, status int, wrong string) {
	hint := ""
	if !onLoopback(r) && !overTLS(r) {
		hint = "This address is not encrypted, and browsers keep no session for it. Open the page by https, or on the node's own machine."
	}
	a.send(w, r, status, document(a, r, "Sign in", false, signIn(r.FormValue("to"), wrong, hint)))
}

func (a *Admin) signIn(w http.ResponseWriter, r *http.Request) {
	token, who, err := a.cfg.Sessions.Begin(r.Context(), strings.TrimSpace(r.PostFormValue("key")))
	switch {
	case errors.Is(err, access.ErrExpired):
		a.showSignIn(w, r, http.StatusUnauthorized, "This API key has expired. Have a new one made: wedsync keys create.")
		return
	case errors.Is(err, access.ErrUnknown):
		a.showSignIn(w, r, http.StatusUnauthorized, "This API key is not known. It may have been revoked, or not copied whole.")
		return
	case err != nil:
		a.cfg.Logger.Error().Err(err).Msg("a session could not be stored")
		a.showSignIn(w, r, http.StatusServiceUnavailable, "The log takes nothing at the moment, so nobody can sign in. Try again in a few seconds.")
		return
	}
	a.cfg.API.As(who, r).Audit(r.Context(), "session.begin", "", "", nil)
	setCookie(w, r, &http.Cookie{Name: sessionCookie, Value: token.Reveal(), MaxAge: int(access.SessionAge / time.Second), HttpOnly: true}) //nolint:gosec // setCookie sets the rest
	goOn(w, r)
}

func (a *Admin) signOut(w http.ResponseWriter, r *http.Request) {
	token := cookie(r, sessionCookie)
	if who, err := a.cfg.Sessions.Find(token); err == nil {
		err := a.cfg.Sessions.End(r.Context(), token)
		a.cfg.API.As(who, r).Audit(context.WithoutCancel(r.Context()), "session.end", "", "", err)
		if err != nil {
			problem.Write(w, r, problem.New(problem.LogUnavailable, "the log takes nothing at the moment, so the session goes on; try again").After(time.Second).Because(err))
			return
		}
	}
	setCookie(w, r, &http.Cookie{Name: sessionCookie, MaxAge: -1, HttpOnly: true}) //nolint:gosec // setCookie sets the rest
	http.Redirect(w, r, signInPath, http.StatusSeeOther)
}

// setTheme keeps what the browser is to show: light, dark, or as its system does.
func (a *Admin) setTheme(w http.ResponseWriter, r *http.Request) {
	next := map[string]string{"": "light", "light": "dark"}[theme(r)]
	c := &http.Cookie{Name: themeCookie, Value: next, MaxAge: int((365 * 24 * time.Hour) / time.Second)} //nolint:gosec // setCookie sets the rest, and a theme is no secret
	if next == "" {
		c.MaxAge = -1
	}
	setCookie(w, r, c)
	goOn(w, r)
}

func theme(r *http.Request) string {
	if t := cookie(r, themeCookie); t == "light" || t == "dark" {
		return t
	}
	return ""
}

// setCookie sets one that no other site can have sent along. Off loopback it goes over TLS alone.
func setCookie(w http.ResponseWriter, r *http.Request, c *http.Cookie) { //nolint:gosec // only browsers on loopback, which have no TLS, get it without Secure
	c.Path, c.SameSite, c.Secure = "/admin", http.SameSiteStrictMode, !onLoopback(r) || overTLS(r)
	http.SetCookie(w, c)
}

func cookie(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

func goOn(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, destination(r), http.StatusSeeOther) //nolint:gosec // destination lets nothing through that is not below /admin/
}

// destination is where the form says to go on.
func destination(r *http.Request) string {
	if to := r.FormValue("to"); inside(to) {
		return to
	}
	return home
}

// onLoopback reports whether the browser asked its own machine.
func onLoopback(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// overTLS reports whether the browser came by https, as far as it or a proxy says.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(r.Header.Get("Origin"), "https://") || r.Header.Get("X-Forwarded-Proto") == "https"
}
