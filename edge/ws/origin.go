package ws

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// originAllowed reports whether the page that opens the connection may. A token travels inside the
// protocol, not in a cookie, so this guards little with tokens, but everything in the insecure mode:
// there, a host that is not loopback has to be listed, or any page could reach a developer's node by
// a name of its own that resolves to it.
func (s *Server) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if len(s.cfg.AllowedOrigins) > 0 {
		return slices.ContainsFunc(s.cfg.AllowedOrigins, func(o string) bool {
			return o == "*" || strings.EqualFold(o, origin)
		})
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false // "null" too: a sandboxed frame or a local file
	}
	if loopback(u.Hostname()) && loopback(hostname(r.Host)) {
		return true
	}
	return !s.cfg.Insecure && strings.EqualFold(u.Host, r.Host)
}

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
