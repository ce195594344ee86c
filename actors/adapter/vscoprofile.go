package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/wedsync/wedsync/actors/event"
)

// The address book of VSCO Workspace (version v2: /address-book, Contact, Person). It cannot be filtered by
// a mapping, as calendar entries can, but by e-mail: so a client without one cannot be told of, and one with
// another address is another contact.
const (
	vscoAddressBook   = "/address-book"
	vscoMaxPersonName = 48 // of a first or last name, in characters
	vscoMaxPhone      = 24
)

var _ ProfileKeeper = (*vscoConn)(nil)

// vscoProfile is what is stored of a profile's delivery. The mapping is added when it is sent.
type vscoProfile struct {
	ClientID string     `json:"clientId"`
	Person   vscoPerson `json:"person"`
}

// vscoPerson is the part of a contact that we write (Person). Fields that are left out are the studio's.
type vscoPerson struct {
	Kind        string        `json:"kind"`
	FirstName   string        `json:"firstName"`
	LastName    string        `json:"lastName,omitempty"`
	Email       string        `json:"email"`
	CellPhone   *vscoPhone    `json:"cellPhone,omitempty"`
	Anniversary string        `json:"anniversary,omitempty"` // a date
	Mappings    []vscoMapping `json:"externalMappings,omitempty"`
}

// vscoPhone is a number in one of two forms; the vendor prefers the first.
type vscoPhone struct {
	E164      string `json:"e164,omitempty"`
	Formatted string `json:"formatted,omitempty"`
}

// e164 is a number as E.164 has it.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)

// EncodeProfile makes a contact. Its venue and notes have no place in one.
func (c *vscoConn) EncodeProfile(p *event.Profile) (json.RawMessage, error) {
	if p.Email == "" {
		return nil, &EncodeError{Field: "email", Reason: "is missing; VSCO Workspace finds contacts by nothing else"}
	}
	b := vscoProfile{ClientID: p.ClientID, Person: vscoPerson{Kind: "person", Email: p.Email}}
	b.Person.FirstName, b.Person.LastName = vscoNames(oneLine(p.Name))
	if digits := strings.Map(dropSeparators, p.Phone); e164.MatchString(digits) {
		b.Person.CellPhone = &vscoPhone{E164: digits}
	} else if p.Phone != "" {
		if utf8.RuneCountInString(p.Phone) > vscoMaxPhone {
			return nil, &EncodeError{Field: "phone", Reason: "is longer than the 24 characters that VSCO Workspace takes"}
		}
		b.Person.CellPhone = &vscoPhone{Formatted: p.Phone}
	}
	if len(p.WeddingDate) >= len("2006-01-02") {
		b.Person.Anniversary = p.WeddingDate[:len("2006-01-02")] // by its own clock
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write the body of a profile: %w", err)
	}
	return raw, nil
}

// vscoNames gives a name as a first and a last one, of which the vendor makes one again. A couple's has no such
// parts: it is parted only where it is too long.
func vscoNames(name string) (first, last string) {
	runes := []rune(name)
	if len(runes) <= vscoMaxPersonName {
		return name, ""
	}
	if at := strings.LastIndexByte(string(runes[:vscoMaxPersonName+1]), ' '); at > 0 {
		return name[:at], shorten(name[at+1:], vscoMaxPersonName)
	}
	return shorten(name, vscoMaxPersonName), ""
}

func dropSeparators(r rune) rune {
	if strings.ContainsRune(" -./", r) {
		return -1
	}
	return r
}

// profileCall makes the contact; Exchange turns it into an update where there is one already.
func (c *vscoConn) profileCall(d *event.Delivery) (*event.Call, error) {
	var stored vscoProfile
	if err := json.Unmarshal(d.Body, &stored); err != nil || stored.ClientID == "" {
		return nil, errors.New("the stored body is not a profile's; it was not written by this adapter")
	}
	stored.Person.Mappings = []vscoMapping{{ID: stored.ClientID, URL: c.link}}
	body, err := json.Marshal(stored.Person)
	if err != nil {
		return nil, fmt.Errorf("address the contact: %w", err)
	}
	return c.post(d, vscoAddressBook, body), nil
}

// writingPerson reads what a call of profileCall makes.
func writingPerson(call *event.HTTPCall) (vscoWrite, error) {
	var person vscoPerson
	if err := json.Unmarshal(call.Body, &person); err != nil || len(person.Mappings) == 0 {
		return vscoWrite{}, errors.New("the call holds no contact")
	}
	client := person.Mappings[0].ID
	return vscoWrite{
		path: vscoAddressBook, client: client, query: url.Values{"email": {person.Email}, "pageSize": {"100"}},
		update: func(*vscoFound) ([]byte, error) {
			person.Mappings = nil
			return json.Marshal(person)
		},
	}, nil
}
