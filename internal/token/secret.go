package token

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// alphabet is what names are made of: no letter or digit that is taken for
// another when read aloud or typed from paper (i, l, o, 0, 1 are left out, and
// u so that fewer words come out by chance). 30 characters.
const alphabet = "23456789abcdefghjkmnpqrstvwxyz"

// Name makes a random name of n characters, about 4.9 bits each: for links and
// seats, not for secrets.
func Name(n int) string {
	name := make([]byte, 0, n)
	random := make([]byte, n)
	for len(name) < n {
		rand.Read(random) // never fails (crypto/rand)
		for _, b := range random {
			// 240 is the largest multiple of 30 in a byte: what is above would
			// make the first characters more likely.
			if b < 240 && len(name) < n {
				name = append(name, alphabet[b%30])
			}
		}
	}
	return string(name)
}

// Secret makes a random secret text of 256 bits: 43 characters of base64url.
func Secret() string {
	var random [SecretSize]byte
	rand.Read(random[:])
	return strict.EncodeToString(random[:])
}

// Same reports whether two secrets are equal. How long it takes tells nothing
// about either, not even their length.
func Same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// LoadText reads a secret text from a file, or makes one with Secret and keeps
// it there (mode 0600). made tells which. Two processes that come first at once
// end with the same secret.
func LoadText(path string) (secret string, made bool, err error) {
	secret, err = readText(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	if made, err = writeNew(path, Secret()+"\n"); err != nil {
		return "", false, fmt.Errorf("keep a new secret: %w", err)
	}
	secret, err = readText(path)
	return secret, made, err
}

// LoadSecret is LoadText for the SecretSize bytes that New wants.
func LoadSecret(path string) (secret []byte, made bool, err error) {
	text, made, err := LoadText(path)
	if err != nil {
		return nil, false, err
	}
	secret, err = strict.DecodeString(text)
	if err != nil || len(secret) != SecretSize {
		return nil, false, fmt.Errorf("%s holds no secret of %d bytes in base64url; move it away and a new one is made", path, SecretSize)
	}
	return secret, made, nil
}

func readText(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("%s is empty; move it away and a new secret is made", path)
	}
	return text, nil
}

// writeNew puts a file in place whole, on disk, and only if there is none:
// written under another name, then linked, since a link never replaces.
func writeNew(path, text string) (made bool, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return false, err
	}
	err = os.Link(file.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
