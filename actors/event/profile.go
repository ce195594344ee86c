package event

import (
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"
)

// TypeClientProfile is the type of a delivery that carries a client's profile. No event has it.
const TypeClientProfile = "client.profile"

// Limits on profiles. The texts' are in characters.
const (
	MaxProfiles        = 500 // in one request
	MaxProfileName     = 255
	MaxProfileVenue    = 512
	MaxProfileNotes    = 8000
	maxEmailBytes      = 254 // RFC 5321, section 4.5.3.1.3, without the brackets
	maxPhoneCharacters = 32
)

// Profile is what the planning product knows of a client and a vendor may know too. All but ClientID and
// Name may be left out.
type Profile struct {
	ClientID    string `json:"clientId" minLength:"1" maxLength:"64" doc:"The couple, as coupleId in events; 1 to 64 of A-Za-z0-9_-."`
	Name        string `json:"name" minLength:"1" maxLength:"255" example:"Amélie & Jonas"`
	Email       string `json:"email,omitempty" maxLength:"254"`
	Phone       string `json:"phone,omitempty" maxLength:"32" example:"+33 6 12 34 56 78"`
	WeddingDate string `json:"weddingDate,omitempty" maxLength:"64" doc:"A date, or a time with its offset (RFC 3339)." example:"2027-06-12"`
	Venue       string `json:"venue,omitempty" maxLength:"512"`
	Notes       string `json:"notes,omitempty" maxLength:"8000"`
}

// Check returns what is wrong with the profile, or nil.
func (p *Profile) Check() *FieldError {
	for _, f := range []struct {
		name, text string
		most       int
	}{
		{"name", p.Name, MaxProfileName},
		{"venue", p.Venue, MaxProfileVenue},
		{"notes", p.Notes, MaxProfileNotes},
	} {
		if n := utf8.RuneCountInString(f.text); n > f.most {
			return wrong(f.name, "has %d characters, at most %d are allowed", n, f.most)
		}
	}
	switch {
	case checkSegment(p.ClientID) != "":
		return wrong("clientId", "must have 1 to %d of A-Z a-z 0-9 _ - and .", MaxSegmentBytes)
	case strings.TrimSpace(p.Name) == "":
		return wrong("name", "is missing")
	case !plainAddress(p.Email):
		return wrong("email", "is no address such as amelie@example.com")
	case !phoneNumber(p.Phone):
		return wrong("phone", "must have at most %d of digits, spaces and + - . ( ) /", maxPhoneCharacters)
	case !dateOrTime(p.WeddingDate):
		return wrong("weddingDate", "must be a date such as 2027-06-12, or a time with its offset")
	}
	return nil
}

func plainAddress(s string) bool {
	if s == "" {
		return true
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= maxEmailBytes
}

func phoneNumber(s string) bool {
	return len(s) <= maxPhoneCharacters && strings.Trim(s, "0123456789 +-.()/") == "" && (s == "" || strings.ContainsAny(s, "0123456789"))
}

func dateOrTime(s string) bool {
	if s == "" {
		return true
	}
	_, day := time.Parse(time.DateOnly, s)
	_, instant := time.Parse(time.RFC3339, s)
	return day == nil || instant == nil
}

// ProfileOutcome is how a client fares in a sync.
type ProfileOutcome string

// The outcomes. Failed has a reason: one of a delivery's.
const (
	ProfilePending   ProfileOutcome = "pending"   // on its way
	ProfileCreated   ProfileOutcome = "created"   // the vendor did not have the client
	ProfileUpdated   ProfileOutcome = "updated"   // the vendor had the client
	ProfileUnchanged ProfileOutcome = "unchanged" // the vendor has that very profile; it was not called
	ProfileFailed    ProfileOutcome = "failed"
)

// ProfileResult is one client's part of a sync.
type ProfileResult struct {
	ClientID string         `json:"clientId"`
	Outcome  ProfileOutcome `json:"outcome" enum:"pending,created,updated,unchanged,failed"`
	Reason   string         `json:"reason,omitempty" doc:"Why it failed; a dead letter tells more where there is one."`
}

// ProfileSync is how a sync stands.
type ProfileSync struct {
	SyncID    string          `json:"syncId"`
	Total     int             `json:"total"`
	Pending   int             `json:"pending"`
	Created   int             `json:"created"`
	Updated   int             `json:"updated"`
	Unchanged int             `json:"unchanged"`
	Failed    int             `json:"failed"`
	Results   []ProfileResult `json:"results" nullable:"false" doc:"By client."`
}

// Add counts a result.
func (s *ProfileSync) Add(r ProfileResult) {
	s.Results = append(s.Results, r)
	s.Total++
	switch r.Outcome {
	case ProfilePending:
		s.Pending++
	case ProfileCreated:
		s.Created++
	case ProfileUpdated:
		s.Updated++
	case ProfileUnchanged:
		s.Unchanged++
	case ProfileFailed:
		s.Failed++
	}
}

// ProfileChannel names the lane of a client's profiles, and stands for a channel in their deliveries. Nothing
// is published there.
func ProfileChannel(clientID string) string { return "client:profile:" + clientID }
