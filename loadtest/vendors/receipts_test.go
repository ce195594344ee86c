package vendors_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestReceipts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var noted []vendors.Receipt
	at := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	v := start(t, vendors.StartStudioCloud, vendors.Config{Keep: 3, Now: func() time.Time { return at }, Notify: func(r vendors.Receipt) {
		mu.Lock()
		defer mu.Unlock()
		noted = append(noted, r)
	}})
	waited := make(chan error, 1)
	go func() { waited <- v.Wait(t.Context(), 6) }()
	for _, id := range []string{"a", "b", "a", "c", "d", "e", "a", "f"} {
		if status, _, body := postShoot(t, v, id); status != http.StatusNoContent {
			t.Fatalf("answered %d %s", status, body)
		}
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if err := v.Wait(t.Context(), 6); err != nil {
		t.Error(err)
	}
	want := vendors.Counts{Calls: 8, Taken: 8, Distinct: 6, Repeats: 2}
	if got := v.Counts(); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	var ids []string
	for _, r := range v.Received() {
		ids = append(ids, r.ID)
		if !r.At.Equal(at) || r.Vendor != "studiocloud" || r.Status != http.StatusNoContent || !r.Taken || string(r.Body) != shoot || r.Header.Get("webhook-id") != r.ID {
			t.Errorf("receipt %+v", r)
		}
	}
	if !slices.Equal(ids, []string{"e", "a", "f"}) {
		t.Errorf("kept %v, want the last three", ids)
	}
	if got := v.Received()[1].Repeat; got != 2 {
		t.Errorf("the third of the same id is repeat %d", got)
	}
	mu.Lock()
	if len(noted) != 8 || noted[2].Repeat != 1 {
		t.Errorf("noted %d receipts", len(noted))
	}
	mu.Unlock()
	v.Forget()
	if got := v.Counts(); got != (vendors.Counts{}) || len(v.Received()) != 0 {
		t.Errorf("after Forget: %+v and %v", got, v.Received())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	go func() { waited <- v.Wait(ctx, 1) }()
	cancel(cause)
	if err := <-waited; !errors.Is(err, cause) || !strings.Contains(err.Error(), "0 of 1") {
		t.Errorf("Wait gives %v", err)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	got := make(chan vendors.Receipt, 3)
	v := start(t, vendors.StartStudioCloud, vendors.Config{Discard: true, Notify: func(r vendors.Receipt) { got <- r }})
	for range 3 {
		postShoot(t, v, "a")
	}
	if err := v.Wait(t.Context(), 3); err != nil {
		t.Error(err)
	}
	if c := v.Counts(); c.Taken != 3 || c.Calls != 3 || len(v.Received()) != 0 {
		t.Errorf("counts %+v, receipts %v", c, v.Received())
	}
	if r := <-got; r.ID != "a" || r.Body != nil {
		t.Errorf("receipt %+v", r)
	}
	if status, _, _ := do(t, http.MethodPost, v.URL()+"/webhooks/wedding", signedCall(t, v, "a", shoot), guests); status != http.StatusUnauthorized {
		t.Errorf("a wrong signature is answered %d", status)
	}
}
