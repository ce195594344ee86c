package load

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// way is how an event comes in.
type way int

const (
	overHTTP      way = iota // the product's backend publishes
	overWebSocket            // a client of the channel does
	byWebhook                // a vendor says it
)

// kind is one type of event: how it comes in, on which channel, and what it says.
type kind struct {
	way     way
	channel func(p *population, c *couple, rng *rand.Rand) (name string, own []int)
	payload func(t *teller)
}

func onSupplier(p *population, c *couple, rng *rand.Rand) (string, []int) {
	s := &p.suppliers[c.suppliers[rng.IntN(len(c.suppliers))]]
	return "supplier:dashboard:" + s.id, s.integrations
}

func onCouple(prefix string) func(*population, *couple, *rand.Rand) (string, []int) {
	return func(_ *population, c *couple, _ *rand.Rand) (string, []int) { return prefix + c.id, c.own }
}

func kinds() map[string]kind {
	return map[string]kind{
		"timeline.updated":     {overHTTP, onSupplier, (*teller).timeline},
		"client.message":       {overWebSocket, onSupplier, (*teller).message},
		"guest_count.changed":  {overWebSocket, onCouple("couple:updates:"), (*teller).guests},
		"setup.changed":        {overHTTP, onCouple("couple:updates:"), (*teller).setup},
		"capacity.changed":     {byWebhook, onCouple("couple:updates:"), (*teller).capacity},
		"wedding.date_changed": {overHTTP, onCouple("journey:milestone:"), (*teller).date},
		"form.submitted":       {overWebSocket, onCouple("form:response:"), (*teller).form},
	}
}

// teller fills a payload with what people write.
type teller struct {
	rng    *rand.Rand
	fields map[string]any
}

// payload is what an event says. The same seed says the same.
func payload(name string, c *couple, seed uint64) json.RawMessage {
	t := &teller{rand.New(rand.NewPCG(seed, 2)), map[string]any{"coupleId": c.id, "coupleName": "Amélie & Jonas", "venue": "Château de Vaux, Orangerie"}}
	kinds()[name].payload(t)
	text, err := json.Marshal(t.fields)
	if err != nil {
		return json.RawMessage("{}") // maps of texts and numbers can be written
	}
	return text
}

func (t *teller) clock() string {
	return time.Date(2027, time.June, 1+t.rng.IntN(28), 11+t.rng.IntN(7), 15*t.rng.IntN(4), 0, 0, time.FixedZone("", 7200)).Format(time.RFC3339)
}

// text is as long as people write: mostly a line, now and then a page.
func (t *teller) text() string {
	words := strings.Fields("Grandmother Odile needs step-free access; the drone stays down before five. Peonies, olive branches & no " +
		"lilies. Könnten wir das Gruppenfoto vor dem Sekt machen? La pièce montée arrive à 17 h par l'entrée de service. " +
		"Rain plan: Orangerie, doors open on the west side. 💐")
	length := int(min(8000, math.Exp(5+t.rng.NormFloat64())))
	var b strings.Builder
	for at := t.rng.IntN(len(words)); b.Len() < length; at++ {
		b.WriteString(words[at%len(words)])
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

func (t *teller) timeline() {
	t.fields["ceremonyTime"], t.fields["previousCeremonyTime"] = t.clock(), t.clock()
	var schedule []map[string]string
	for i := range 3 + t.rng.IntN(10) {
		schedule = append(schedule, map[string]string{"time": fmt.Sprintf("%02d:%02d", 10+i, 5*t.rng.IntN(12)), "title": []string{"First look in the garden", "Ceremony", "Champagne & group photos", "Dinner", "First dance"}[i%5]})
	}
	t.fields["schedule"], t.fields["notes"] = schedule, t.text()
}

func (t *teller) message() {
	t.fields["from"], t.fields["text"] = "Amélie", t.text()
}

func (t *teller) guests() {
	t.fields["guestCount"], t.fields["previousGuestCount"] = 40+t.rng.IntN(160), 40+t.rng.IntN(160)
	t.fields["notes"] = t.text()
}

func (t *teller) setup() {
	t.fields["room"], t.fields["layout"] = "Orangerie", "Twelve round tables of ten, dance floor by the east door"
	t.fields["setupTime"], t.fields["notes"] = t.clock(), t.text()
}

func (t *teller) capacity() { t.fields["capacity"] = 60 + t.rng.IntN(120) }

func (t *teller) date() {
	t.fields["ceremonyTime"], t.fields["previousCeremonyTime"], t.fields["notes"] = t.clock(), t.clock(), t.text()
}

func (t *teller) form() {
	t.fields["form"], t.fields["answers"] = "Menu and allergies", map[string]any{"vegetarian": t.rng.IntN(12), "allergies": t.text()}
}
