package token_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"hustings/internal/token"
)

func TestLoadSecretMakesOnceAndKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	first, made, err := token.LoadSecret(path)
	if err != nil || !made || len(first) != token.SecretSize {
		t.Fatalf("first: %d bytes, made %v, %v", len(first), made, err)
	}
	again, made, err := token.LoadSecret(path)
	if err != nil || made || string(again) != string(first) {
		t.Errorf("again: same %v, made %v, %v", string(again) == string(first), made, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLoadTextAgreesWhenAllComeFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "owner.token")
	const n = 16
	var wait sync.WaitGroup
	var texts [n]string
	var makers [n]bool
	for i := range n {
		wait.Go(func() {
			var err error
			if texts[i], makers[i], err = token.LoadText(path); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	count := 0
	for i := range n {
		if texts[i] != texts[0] {
			t.Errorf("two secrets: %q and %q", texts[i], texts[0])
		}
		if makers[i] {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d say that they made it", count)
	}
}

func TestLoadRefusesWhatItCantUse(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": " \n", "short": "AAAA\n", "words": "correct horse battery staple and so on and on\n"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := token.LoadSecret(path); err == nil {
			t.Errorf("%s was taken for a secret", name)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%s was overwritten", name)
		}
	}
	if _, _, err := token.LoadText(filepath.Join(dir, "no", "folder")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestNameAndSecret(t *testing.T) {
	name := regexp.MustCompile(`^[2-9a-hjkmnp-tv-z]{10}$`)
	seen := map[string]bool{}
	for range 1000 {
		n := token.Name(10)
		if !name.MatchString(n) || seen[n] {
			t.Fatalf("Name(10) = %q, seen before: %v", n, seen[n])
		}
		seen[n] = true
	}
	if a, b := token.Secret(), token.Secret(); len(a) != 43 || a == b {
		t.Errorf("Secret: %q, %q", a, b)
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"x", "x", true}, {"x", "y", false}, {"x", "", false}, {"", "", true}, {"x", "xx", false}} {
		if got := token.Same(c.a, c.b); got != c.want {
			t.Errorf("Same(%q, %q) = %v", c.a, c.b, got)
		}
	}
}
