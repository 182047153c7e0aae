package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// authorize checks the bearer token (RFC 6750). What is compared are hashes, in a
// time that tells neither how much of the token was right nor how long it is.
func (a *api) authorize(w http.ResponseWriter, r *http.Request) error {
	const challenge = `Bearer realm="cereus"`
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		w.Header().Set("WWW-Authenticate", challenge)
		return problem{http.StatusUnauthorized, "send the header Authorization: Bearer <admin.token>"}
	}
	given := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if subtle.ConstantTimeCompare(given[:], a.token[:]) != 1 {
		w.Header().Set("WWW-Authenticate", challenge+`, error="invalid_token"`)
		return problem{http.StatusUnauthorized, "that is not the token: send the value of admin.token"}
	}
	return nil
}
