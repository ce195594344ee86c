package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
)

// Config is what New needs. API and Sessions must be given.
type Config struct {
	API      *api.API // its Mount must be called before the page is asked for
	Sessions *access.Sessions
	Node     string // name of this node
	Version  string // of this release
	Logger   zerolog.Logger
	Now      func() time.Time // default time.Now
}

// Admin serves /admin. It is safe for concurrent use.
type Admin struct {
	cfg    Config
	assets assets
	site   site
	fleets shared[*fleet]
	paces  shared[pace]
	slos   shared[*budget]
	tables shared[*objectives]
	live   *live
	same   *http.CrossOriginProtection
}

// New returns the page, or an error that names what is missing in the configuration.
func New(cfg Config) (*Admin, error) {
	if cfg.API == nil || cfg.Sessions == nil {
		return nil, errors.New("admin: Config.API or Sessions is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Admin{cfg: cfg, assets: loadAssets(), live: newLive(cfg.Logger), same: http.NewCrossOriginProtection()}
	a.same.SetDenyHandler(http.HandlerFunc(a.refuseOrigin))
	return a, nil
}

// Mount puts the page into the mux.
func (a *Admin) Mount(mux *http.ServeMux) {
	a.site = site{admin: a, mux: mux}
	a.routeSessions()
	a.routeOverview(&a.site)
	a.routeIntegration(&a.site)
	a.routeSettings(&a.site)
	a.routeDelivery(&a.site)
	a.routeConnect(&a.site)
	a.routeMappings(&a.site)
	a.routeChannels(&a.site)
	a.routeDead(&a.site)
	a.routeObjectives(&a.site)
	a.routeDeliveries(&a.site)
	a.routeAudit(&a.site)
	a.routeCluster(&a.site)
	mux.Handle("GET /admin/assets/{name}", http.HandlerFunc(a.assets.serve))
	mux.Handle("GET /admin", http.RedirectHandler(home, http.StatusSeeOther))
	mux.Handle("/admin/", a.protect(a.nothing))
}

// Shutdown ends what is shown live, so that browsers ask another node. It waits until all is ended, or ctx is.
func (a *Admin) Shutdown(ctx context.Context) error { return a.live.shutdown(ctx) }

// home is where /admin leads.
const home = "/admin/integrations/channels"
