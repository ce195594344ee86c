package vendors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
)

// control serves what lies below /_sim/ (see the package's documentation).
func control(mux *http.ServeMux, s *web, v Vendor) {
	mux.HandleFunc("GET /_sim/received", func(w http.ResponseWriter, req *http.Request) {
		limit := 100
		if text := req.URL.Query().Get("limit"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				refuse(w, fmt.Errorf("limit %.20q: must be a whole number of at least 1", text))
				return
			}
			limit = n
		}
		all := s.Received()
		views := []receiptView{}
		for _, r := range all[max(0, len(all)-limit):] {
			views = append(views, receiptView{Receipt: r, Body: string(r.Body)})
		}
		write(w, jsonReply(http.StatusOK, views))
	})
	mux.HandleFunc("GET /_sim/last", func(w http.ResponseWriter, _ *http.Request) {
		all := slices.DeleteFunc(s.Received(), func(r Receipt) bool { return !r.Taken })
		if len(all) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(append(bytes.TrimRight(all[len(all)-1].Body, "\r\n"), '\n'))
	})
	mux.HandleFunc("GET /_sim/counts", func(w http.ResponseWriter, _ *http.Request) {
		write(w, jsonReply(http.StatusOK, s.Counts()))
	})
	mux.HandleFunc("GET /_sim/settings", func(w http.ResponseWriter, _ *http.Request) {
		in, secrets := v.Integration("sim-" + s.name)
		shown := map[string]string{}
		for name := range secrets {
			shown[name] = secrets.Current(name).Reveal()
		}
		write(w, jsonReply(http.StatusOK, map[string]any{"integration": in, "secrets": shown}))
	})
	mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		write(w, jsonReply(http.StatusOK, s.faults.List()))
	})
	mux.HandleFunc("POST /_sim/faults", func(w http.ResponseWriter, req *http.Request) {
		var f Fault
		if readControl(w, req, &f) {
			s.faults.Add(f)
			write(w, jsonReply(http.StatusOK, s.faults.List()))
		}
	})
	mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.faults.Clear()
		write(w, jsonReply(http.StatusOK, s.faults.List()))
	})
	mux.HandleFunc("POST /_sim/webhook-faults", func(w http.ResponseWriter, req *http.Request) {
		var f WebhookFault
		if readControl(w, req, &f) {
			s.faults.SpoilWebhooks(f)
			write(w, jsonReply(http.StatusOK, f))
		}
	})
	if keeper, ok := v.(Keeper); ok {
		mux.HandleFunc("GET /_sim/clients", func(w http.ResponseWriter, _ *http.Request) {
			write(w, jsonReply(http.StatusOK, keeper.Clients()))
		})
	}
	if sender, ok := v.(Sender); ok {
		mux.HandleFunc("POST /_sim/send", func(w http.ResponseWriter, req *http.Request) { send(w, req, sender) })
	}
}

type receiptView struct {
	Receipt
	Body string `json:"body"`
}

func send(w http.ResponseWriter, req *http.Request, v Sender) {
	var order struct {
		To string `json:"to"`
		Webhook
	}
	if !readControl(w, req, &order) {
		return
	}
	sent, err := v.Send(req.Context(), order.To, order.Webhook)
	if err != nil {
		refuse(w, err)
		return
	}
	write(w, jsonReply(http.StatusOK, sent))
}

// readControl reads an order. It must be JSON by its type, which keeps web pages from giving any.
func readControl(w http.ResponseWriter, req *http.Request, into any) bool {
	if media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || media != "application/json" {
		refuse(w, fmt.Errorf("send it as application/json"))
		return false
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxCallBytes))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		refuse(w, err)
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, err error) {
	write(w, jsonReply(http.StatusBadRequest, map[string]string{"error": err.Error()}))
}
