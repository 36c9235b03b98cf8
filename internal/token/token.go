// Package token makes and opens the tokens that Hustings hands out, and keeps
// the secrets that stand behind them.
//
// A token carries a small value and a proof that this deployment made it, so
// nothing needs to be looked up to know that it is genuine:
//
//	minter, err := token.New(secret)                  // 32 bytes, kept by LoadSecret
//	t, err := minter.Mint("invite", claim)            // to hand out
//	err = minter.Open("invite", t, &claim)            // ErrForged, ErrExpired or nil
//
// A token is the unpadded base64url text (RFC 4648, section 5) of
//
//	HMAC-SHA256 (32 bytes) | expiry, Unix seconds (8 bytes, big endian, 0: never) | JSON of the value
//
// which fits a Bearer header (RFC 6750), a link and a cookie alike. The kind is
// part of what is authenticated but is not in the token: one made as an invite
// never opens as a cookie. Equal values give equal tokens, so a token need not
// be stored to be shown again. A token is readable by whoever holds it: put
// nothing secret in it. What was handed out can only be taken back by whoever
// opens it, by looking up what it names.
package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// What Open finds wrong with a token.
var (
	ErrForged  = errors.New("token was not made here, or was changed since")
	ErrExpired = errors.New("token has expired")
)

// SecretSize is the length of a Minter's secret in bytes.
const SecretSize = 32

// MaxLength bounds what Open looks at, in characters: longer is ErrForged.
const MaxLength = 4096

// domain keeps these MACs apart from any other use of the same secret.
const domain = "hustings token 1\x00"

const headSize = sha256.Size + 8

// strict refuses the second spelling that unused trailing bits would give.
var strict = base64.RawURLEncoding.Strict()

// Minter makes and opens tokens. It is safe for use by many goroutines.
type Minter struct {
	secret [SecretSize]byte
	now    func() time.Time
}

// New makes a Minter over a secret of SecretSize bytes. now tells the time for
// expiry; nil means time.Now.
func New(secret []byte, now func() time.Time) (*Minter, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("token: secret has %d bytes, not %d", len(secret), SecretSize)
	}
	if now == nil {
		now = time.Now
	}
	return &Minter{secret: [SecretSize]byte(secret), now: now}, nil
}

// Mint makes a token of the given kind that never expires.
func (m *Minter) Mint(kind string, v any) (string, error) {
	return m.mint(kind, 0, v)
}

// MintUntil makes a token of the given kind that opens until the given second.
func (m *Minter) MintUntil(kind string, until time.Time, v any) (string, error) {
	unix := until.Unix()
	if unix <= 0 {
		return "", fmt.Errorf("token: %s expires at %v, before it can be made", kind, until)
	}
	return m.mint(kind, uint64(unix), v)
}

func (m *Minter) mint(kind string, expiry uint64, v any) (string, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("token: value of %s: %w", kind, err)
	}
	raw := make([]byte, sha256.Size, headSize+len(value))
	raw = binary.BigEndian.AppendUint64(raw, expiry)
	raw = append(raw, value...)
	copy(raw, m.mac(kind, raw[sha256.Size:]))
	text := strict.EncodeToString(raw)
	if len(text) > MaxLength {
		return "", fmt.Errorf("token: %s has %d characters, more than %d", kind, len(text), MaxLength)
	}
	return text, nil
}

// Open checks that the token was minted as this kind and puts its value into v.
//
// Errors: ErrForged, ErrExpired (then v is left alone), or that of
// json.Unmarshal if v can't hold what the token carries.
func (m *Minter) Open(kind, token string, v any) error {
	if len(token) > MaxLength {
		return ErrForged
	}
	raw, err := strict.DecodeString(token)
	if err != nil || len(raw) < headSize {
		return ErrForged
	}
	// The decoder skips line ends: a token with one in it is not what was minted.
	if strict.EncodedLen(len(raw)) != len(token) {
		return ErrForged
	}
	if !hmac.Equal(raw[:sha256.Size], m.mac(kind, raw[sha256.Size:])) {
		return ErrForged
	}
	if m.expired(binary.BigEndian.Uint64(raw[sha256.Size:headSize])) {
		return ErrExpired
	}
	if err := json.Unmarshal(raw[headSize:], v); err != nil {
		return fmt.Errorf("token: value of %s: %w", kind, err)
	}
	return nil
}

func (m *Minter) expired(expiry uint64) bool {
	if expiry == 0 || expiry > math.MaxInt64 {
		return false
	}
	return m.now().Unix() > int64(expiry)
}

// mac authenticates a body under a kind. The kind's length goes in before it, so
// that no kind and body together look like another pair.
func (m *Minter) mac(kind string, body []byte) []byte {
	h := hmac.New(sha256.New, m.secret[:])
	head := binary.BigEndian.AppendUint32([]byte(domain), uint32(len(kind)))
	h.Write(append(head, kind...))
	h.Write(body)
	return h.Sum(nil)
}
