package registry

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// masked stands where a secret was.
const masked = "[secret]"

// Mask returns the text without the integration's secrets, in force or from before a rotation, however
// they are written into it: as they are, in a URL, in JSON or in base64. It fails, wrapping ErrSeal, where
// the secrets cannot be opened.
func (e *Entry) Mask(text string) (string, error) {
	secrets, err := e.secrets()
	if err != nil {
		return "", err
	}
	var forms []string
	for _, values := range secrets {
		for _, s := range values {
			forms = append(forms, formsOf(strings.TrimSpace(s.Reveal()))...)
		}
	}
	// The longest first: one secret may be a part of another.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range forms {
		if form != "" {
			text = strings.ReplaceAll(text, form, masked)
		}
	}
	return text, nil
}

func formsOf(secret string) []string {
	if secret == "" {
		return nil
	}
	quoted, _ := json.Marshal(secret) // a string never fails
	forms := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted[1 : len(quoted)-1]),
		base64.StdEncoding.EncodeToString([]byte(secret)),
	}
	if u, err := url.Parse(secret); err == nil && u.Host != "" && len(u.Path) > 1 {
		forms = append(forms, u.Path) // of a secret address the path is what nobody may know
	}
	return forms
}
