package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

type integrationsTestCmd struct {
	nodeFlags
	ID   string `arg:"" help:"The integration."`
	Type string `help:"Event type of the sample; default: the vendor's first." placeholder:"TYPE"`
}

func (integrationsTestCmd) Help() string {
	return `The vendor receives a real message, with an event id that begins with test-. "wedsync integrations preview"
shows what would be sent, and sends nothing. The command fails where the vendor did not take it.`
}

func (c integrationsTestCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	came, text, err := ask[event.Attempt](ctx, node, http.MethodPost, integrationPath(c.ID, "test"), nil, map[string]string{"type": c.Type})
	if err != nil {
		return err
	}
	if p.json {
		err = p.object(text)
	} else {
		err = p.table([]string{"verdict", "status", "took", "reason", "detail"}, [][]string{{
			came.Verdict, strconv.Itoa(came.Status), time.Duration(came.Duration).Round(100 * time.Microsecond).String(), cmp.Or(came.Reason, "-"), cmp.Or(short(came.Detail, 200), "-"),
		}})
	}
	if err == nil && came.Verdict != "delivered" {
		err = fmt.Errorf("the vendor did not take it: %s", cmp.Or(came.Reason, came.Verdict))
	}
	return err
}
