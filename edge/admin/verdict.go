package admin

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// sentence begins a text with a capital.
func sentence(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(r)) + text[size:]
}

// reasonText is why something is as it is, as people read it.
func reasonText(reason string) string {
	return sentence(strings.ReplaceAll(reason, "http_", "HTTP "))
}

func testTitle(a event.Attempt) string {
	switch a.Verdict {
	case "delivered":
		return "The vendor took the sample"
	case "pause":
		return "The vendor does not let us in"
	case "dead":
		return "The vendor refused the sample"
	}
	return "The vendor could not take the sample now"
}

// testWords tells what a vendor's answer means, and what to do.
func testWords(a event.Attempt) string {
	took := ", after " + lasted(time.Duration(a.Duration)) + "."
	answer := "It answered " + strconv.Itoa(a.Status)
	if a.Status == 0 {
		answer = "No answer came"
	}
	if a.Verdict == "delivered" {
		return answer + took
	}
	if why := reasonWords(a.Reason); why != "" {
		return answer + took + " " + why
	}
	if a.Reason != "" {
		answer += " (" + a.Reason + ")"
	}
	switch {
	case a.Status == 401 || a.Status == 403 || a.Verdict == "pause":
		return answer + took + " Check the secrets, and what they allow at the vendor's."
	case a.Status == 404 || a.Status == 410:
		return answer + took + " Check the address: there is nothing at it."
	case a.Status == 429:
		return answer + took + " It is asked too often just now; deliveries wait and are tried again."
	case a.Status >= 500:
		return answer + took + " The fault is on the vendor's side; deliveries wait and are tried again."
	case a.Verdict == "dead":
		return answer + took + " It does not take such a message; compare the settings with what the vendor expects."
	}
	return answer + took
}

// reasonWords says what a reason of ours means; "" for the vendor's.
func reasonWords(reason string) string {
	return map[string]string{
		event.ReasonTimeout:       "The vendor took too long. Is the address right, and does its system answer?",
		event.ReasonConnection:    "The connection was refused or broke. Is the address right, and does its system run?",
		event.ReasonClock:         "The vendor takes nothing that is signed at another time than its own. Is the clock of the wedsync node right?",
		event.ReasonBlocked:       "The address is a private one, which is not called. Enter a public one, or allow it in delivery.allowPrivate.",
		event.ReasonMisconfigured: "The settings are not complete; the integration's page says what is missing.",
		event.ReasonExhausted:     "Every try failed, though the vendor was up.",
		event.ReasonExpired:       "It waited for longer than its integration's limit for waiting. The vendor was down, or the integration paused.",
		event.ReasonEncode:        "What the vendor wants could not be made of the event: something is missing in it, or of another kind.",
		event.ReasonExpression:    "An expression of the mapping failed on this event. Mend the mapping, then replay it.",
		event.ReasonPanic:         "The adapter broke on this event. That is a defect of ours; please report it.",
		event.ReasonOptedOut:      "The recipient has told the vendor to be left alone. A replay will be refused likewise.",
		event.ReasonDeleted:       "The integration was deleted while it waited.",
		delivery.ReasonCanceled:   "The call was cut off when the node stopped.",
		delivery.ReasonDNS:        "The name in the address is not known. Is it written right?",
		delivery.ReasonTLS:        "The vendor's certificate does not hold. Is the address right, and the certificate in date?",
	}[strings.TrimSpace(reason)]
}
