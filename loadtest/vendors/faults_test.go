package vendors_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestFaultTimes(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartStudioCloud, vendors.Config{})
	remove := v.Faults().Add(vendors.Fault{Status: 503, Code: "down", RetryAfter: event.Duration(time.Second), Times: 2})
	v.Faults().Add(vendors.Fault{Status: 418, Times: 1})
	if all := v.Faults().List(); len(all) != 2 || all[0].Times != 2 {
		t.Errorf("faults %+v", all)
	}
	for i, want := range []int{503, 503, 418, 204} {
		status, h, body := postShoot(t, v, "a")
		if status != want {
			t.Errorf("call %d is answered %d %s, want %d", i+1, status, body, want)
		}
		if status == 503 && (h.Get("Retry-After") != "1" || !strings.Contains(body, `"down"`)) {
			t.Errorf("answered %v %s", h, body)
		}
	}
	remove() // what is over can be removed
	if c := v.Counts(); c.Taken != 1 || c.Refused != 3 {
		t.Errorf("counts %+v", c)
	}
	if len(v.Faults().List()) != 0 {
		t.Errorf("faults %+v", v.Faults().List())
	}
}

func TestFaultSelects(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartStudioCloud, vendors.Config{})
	defer v.Faults().Add(vendors.Fault{Status: 400, Contains: "bad"})()
	defer v.Faults().Add(vendors.Fault{Status: 403, Match: func(r *vendors.Receipt) bool { return r.ID == "mine" }})()
	defer v.Faults().Add(vendors.Fault{Status: 404, Contains: "shoot_date", Match: func(r *vendors.Receipt) bool { return r.ID == "body" }})()
	defer v.Faults().Add(vendors.Fault{Status: 500, Stage: "rcpt"})() // of mails alone
	for id, want := range map[string]int{"bad1": 400, "mine": 403, "body": 404, "good": 204} {
		if status, _, _ := postShoot(t, v, id); status != want {
			t.Errorf("%s is answered %d, want %d", id, status, want)
		}
	}
}

func TestFaultBreaks(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartStudioCloud, vendors.Config{})
	remove := v.Faults().Add(vendors.Fault{Reset: true})
	if status, _, _ := postShoot(t, v, "a"); status != 0 {
		t.Errorf("answered %d, want a broken connection", status)
	}
	remove()
	remove = v.Faults().Add(vendors.Fault{LoseAnswer: true})
	if status, _, _ := postShoot(t, v, "b"); status != 0 {
		t.Errorf("answered %d, want a broken connection", status)
	}
	remove()
	all := v.Received()
	if all[0].Taken || all[0].Status != 0 || !all[1].Taken || all[1].Status != 0 {
		t.Errorf("receipts %+v", all)
	}
}

func TestFaultLatency(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartStudioCloud, vendors.Config{})
	v.Faults().Add(vendors.Fault{Latency: event.Duration(30 * time.Millisecond), Jitter: event.Duration(10 * time.Millisecond)})
	v.Faults().Add(vendors.Fault{Latency: event.Duration(30 * time.Millisecond)})
	began := time.Now()
	if status, _, _ := postShoot(t, v, "a"); status != 204 {
		t.Errorf("answered %d", status)
	}
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("it took %s, want at least 60 ms", took)
	}
}

// TestFaultHang lets a call go again: by removing the fault, by clearing all, by closing.
func TestFaultDelays(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartStudioCloud, vendors.Config{})
	var asked string
	defer v.Faults().Add(vendors.Fault{Delay: func(r *vendors.Receipt) time.Duration {
		asked = r.ID
		return 60 * time.Millisecond
	}})()
	begun := time.Now()
	if status, _, _ := postShoot(t, v, "a"); status != 204 || asked != "a" || time.Since(begun) < 60*time.Millisecond {
		t.Errorf("answered %d after %v; asked how long %q waits", status, time.Since(begun), asked)
	}
}

func TestFaultHang(t *testing.T) {
	t.Parallel()
	for name, release := range map[string]func(v *vendors.StudioCloud, remove func()){
		"remove": func(_ *vendors.StudioCloud, remove func()) { remove(); remove() },
		"clear":  func(v *vendors.StudioCloud, _ func()) { v.Faults().Clear() },
		"close":  func(v *vendors.StudioCloud, _ func()) { v.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, slow := range []bool{false, true} {
				v := start(t, vendors.StartStudioCloud, vendors.Config{})
				hangs := make(chan struct{})
				fault := vendors.Fault{Hang: true, Times: 1, Match: func(*vendors.Receipt) bool { close(hangs); return true }}
				if slow {
					fault.Hang, fault.Latency = false, event.Duration(time.Hour)
				}
				if slow && name != "close" {
					continue // a delay is not let go of
				}
				remove := v.Faults().Add(fault)
				answered := make(chan int)
				go func() {
					status, _, _ := postShoot(t, v, "a")
					answered <- status
				}()
				<-hangs
				if status, _, _ := postShoot(t, v, "b"); !slow && status != 204 {
					t.Errorf("another call is answered %d meanwhile", status)
				}
				release(v, remove)
				if status, want := <-answered, map[bool]int{false: 204, true: 0}[name == "close"]; status != want {
					t.Errorf("after %s it is answered %d, want %d", name, status, want)
				}
			}
		})
	}
}

// TestFaultProbes: what is down is down for probes too, but they use nothing up.
func TestFaultProbes(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartWhatsApp, vendors.Config{})
	v.Faults().Add(vendors.Fault{Status: 503, Times: 1})
	_, secrets := v.Integration("i")
	h := http.Header{"Authorization": {"Bearer " + secrets.Current("access_token").Reveal()}}
	probe := v.URL() + "/v24.0/106540352242922"
	for range 3 {
		if status, _, body := do(t, http.MethodGet, probe, h, ""); status != 503 || !strings.Contains(body, "131016") {
			t.Errorf("answered %d %s", status, body)
		}
	}
	v.Faults().Clear()
	if status, _, _ := do(t, http.MethodGet, probe, h, ""); status != 200 {
		t.Errorf("answered %d", status)
	}
	if status, _, body := do(t, http.MethodGet, probe, nil, ""); status != 401 || !strings.Contains(body, "190") {
		t.Errorf("answered %d %s", status, body)
	}
	if status, _, body := do(t, http.MethodGet, v.URL()+"/v24.0/other", h, ""); status != 400 || !strings.Contains(body, `"code":100`) {
		t.Errorf("answered %d %s", status, body)
	}
	if c := v.Counts(); c.Calls != 0 {
		t.Errorf("counts %+v", c)
	}
}
