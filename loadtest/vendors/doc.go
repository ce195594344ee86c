// Package vendors simulates the systems that wedsync connects to. Each simulator is a real server on
// loopback that speaks its vendor's protocol as documented: it checks signatures and tokens, refuses
// what the vendor would refuse with the vendor's own error, keeps what it received, sends the
// vendor's signed webhooks, and fails on demand (see [Faults]).
//
//	set, err := vendors.StartAll(ctx, vendors.Config{})
//	in, secrets := set.StudioCloud.Integration("studio")   // ready to be stored and connected
//	remove := set.StudioCloud.Faults().Add(vendors.Fault{Status: 503, Times: 5})
//	err = set.StudioCloud.Wait(ctx, 1)                      // until it has taken one delivery
//	sent, err := set.VenueMaster.Send(ctx, webhookURL, vendors.Webhook{Type: "capacity.changed", Data: ...})
//
// Their secrets are the same on every start, so that a configuration written for `wedsync sim` stays
// good. They protect nothing.
//
// Every simulator is also steered over HTTP, below its URL:
//
//	GET    /_sim/received?limit=N   the last N receipts (100), oldest first
//	GET    /_sim/last               the body of the last call that was taken, as it came
//	GET    /_sim/counts             Counts
//	GET    /_sim/settings           settings and secrets to enter in wedsync
//	GET    /_sim/clients            the clients that a studio's CRM was told of, by id
//	GET    /_sim/faults             the faults in force
//	POST   /_sim/faults             adds a Fault: {"status":503,"times":5}
//	DELETE /_sim/faults             removes all, and lets go of what hangs
//	POST   /_sim/webhook-faults     sets a WebhookFault: {"duplicate":true}
//	POST   /_sim/send               sends a webhook: {"to":"http://...","type":"capacity.changed","data":{...}}
//
// Goroutines: each simulator runs its server's, and one a connection; Close ends them and waits.
package vendors
