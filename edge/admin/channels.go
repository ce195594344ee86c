package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/ws"
)

const (
	channelsPath = "/admin/channels"
	channelPath  = "/admin/channel"
)

func (a *Admin) routeChannels(s *site) {
	s.page(page{path: channelsPath, name: "Channels", icon: "channel", scope: access.ChannelsRead, show: a.channels})
	s.page(page{path: channelPath + "/{name}", under: channelsPath, scope: access.ChannelsRead, show: a.channel})
	s.mux.Handle("GET "+channelPath+"/{name}/token", a.signedIn(a.sendToken))
}

func channelURL(name string) string { return channelPath + "/" + url.PathEscape(name) }

// channelsView is the channels that were looked for.
type channelsView struct {
	pattern string
	found   []api.Channel
	wrong   string // with the pattern
}

// anyChannel selects all.
const anyChannel = "**"

// patternOf is what somebody means who types: a name, a pattern, or how a name begins.
func patternOf(text string) string {
	switch {
	case text == "":
		return anyChannel
	case strings.HasSuffix(text, ":"):
		return text + anyChannel
	}
	return text
}

func (a *Admin) channels(v *visit) (screen, error) {
	c := channelsView{pattern: strings.TrimSpace(v.query("q"))}
	var err error
	c.found, err = v.Channels(v.Context(), patternOf(c.pattern))
	if p := problem.Of(err); err != nil && p.Code == problem.FieldInvalid {
		c.wrong, err = p.Detail, nil
	}
	return screen{title: "Channels", body: channelsBody(&c), live: []part{{"channels", channelsTable(&c)}}}, err
}

const (
	historyShown = 50   // events of a page of a channel's history
	historyMost  = 1000 // so many of the newest are paged through
)

// channelView is one channel.
type channelView struct {
	name    string
	page    int // from 1, the newest events
	pages   int // so far as it is known
	events  []shownEvent
	present event.Presence
	absent  string // why nobody knows who listens
}

// shownEvent is an event as the history shows it.
type shownEvent struct {
	Seq        uint64          `json:"-"`
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Source     string          `json:"source"`
	AcceptedAt time.Time       `json:"acceptedAt"`
	Payload    json.RawMessage `json:"payload"`
}

func (a *Admin) channel(v *visit) (screen, error) {
	c := channelView{name: v.PathValue("name")}
	c.page, _ = strconv.Atoi(v.query("page"))
	c.page = min(max(c.page, 1), historyMost/historyShown)
	// One more than is shown tells whether there is another page.
	logged, err := v.History(v.Context(), c.name, min(c.page*historyShown+1, historyMost))
	if err != nil {
		return screen{}, err
	}
	c.fill(logged)
	if c.present, err = v.Presence(v.Context(), c.name); err != nil {
		c.absent = problem.Of(err).Detail
	}
	return screen{title: c.name, body: channelBody(v, &c), live: []part{{"history", historyPart(&c)}, {"present", presentPart(&c)}}}, nil
}

// fill takes the page's part of the newest events, the newest first.
func (c *channelView) fill(logged []api.Logged) {
	c.pages = max(1, (len(logged)+historyShown-1)/historyShown)
	c.page = min(c.page, c.pages)
	end := max(len(logged)-(c.page-1)*historyShown, 0)
	for _, e := range slices.Backward(logged[max(end-historyShown, 0):end]) {
		one := shownEvent{Seq: e.Seq}
		if json.Unmarshal(e.Event, &one) != nil {
			one.Type = "(cannot be read)"
		}
		c.events = append(c.events, one)
	}
}

// url is the channel with another page of its history.
func (c *channelView) url(page int) string {
	return channelURL(c.name) + "?page=" + strconv.Itoa(page)
}

// sendToken gives the page's script what it listens to the channel with.
func (a *Admin) sendToken(w http.ResponseWriter, v *visit) {
	token, err := v.Listen(v.Context(), v.PathValue("name"))
	if err != nil {
		problem.Write(w, v.Request, problem.Of(err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, token.Reveal())
}

// socketPath is where the script listens.
const socketPath = ws.Path
