package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hustings/internal/token"

	"pgregory.net/rapid"
)

type claim struct {
	Space string `json:"s"`
	Seat  string `json:"t"`
}

func minter(t interface{ Fatal(...any) }, seed byte, now func() time.Time) *token.Minter {
	m, err := token.New([]byte(strings.Repeat(string(rune(seed)), token.SecretSize)), now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOpenGivesBackWhatWasMinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := minter(t, 'a', nil)
		want := claim{Space: rapid.String().Draw(t, "space"), Seat: rapid.StringMatching(`[a-z0-9]{0,9}`).Draw(t, "seat")}
		if strings.ToValidUTF8(want.Space, "") != want.Space || len(want.Space) > 500 {
			t.Skip()
		}
		kind := rapid.StringMatching(`[a-z]{1,10}`).Draw(t, "kind")
		text, err := m.Mint(kind, want)
		if err != nil {
			t.Fatal(err)
		}
		var got claim
		if err := m.Open(kind, text, &got); err != nil || got != want {
			t.Fatalf("Open(%q) = %+v, %v; want %+v", text, got, err, want)
		}
		if err := m.Open(kind+"x", text, &got); !errors.Is(err, token.ErrForged) {
			t.Fatalf("opened as another kind: %v", err)
		}
		if err := minter(t, 'b', nil).Open(kind, text, &got); !errors.Is(err, token.ErrForged) {
			t.Fatalf("opened with another secret: %v", err)
		}
	})
}

func TestEqualValuesGiveEqualTokens(t *testing.T) {
	m := minter(t, 'a', nil)
	a, _ := m.Mint("invite", claim{"x", "y"})
	b, _ := m.Mint("invite", claim{"x", "y"})
	if a == "" || a != b {
		t.Errorf("%q and %q differ", a, b)
	}
}

func TestAnyChangeIsForged(t *testing.T) {
	m := minter(t, 'a', nil)
	text, err := m.Mint("invite", claim{"debate", "q4"})
	if err != nil {
		t.Fatal(err)
	}
	const letters = "ABab09-_=. \n"
	for i := range text {
		for _, c := range letters {
			changed := text[:i] + string(c) + text[i+1:]
			var got claim
			if err := m.Open("invite", changed, &got); changed != text && !errors.Is(err, token.ErrForged) {
				t.Fatalf("%q opens: %v", changed, err)
			}
		}
	}
	for _, other := range []string{"", text + "=", text + "\n", "\n" + text, text[:len(text)-1], strings.Repeat("A", token.MaxLength+1)} {
		var got claim
		if err := m.Open("invite", other, &got); !errors.Is(err, token.ErrForged) {
			t.Errorf("%q opens: %v", other, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := minter(t, 'a', func() time.Time { return now })
	text, err := m.MintUntil("cookie", now.Add(time.Hour), claim{Seat: "q4"})
	if err != nil {
		t.Fatal(err)
	}
	var got claim
	now = now.Add(time.Hour)
	if err := m.Open("cookie", text, &got); err != nil || got.Seat != "q4" {
		t.Errorf("in its last second: %+v, %v", got, err)
	}
	now, got = now.Add(time.Second), claim{}
	if err := m.Open("cookie", text, &got); !errors.Is(err, token.ErrExpired) || got != (claim{}) {
		t.Errorf("after it: %+v, %v; want ErrExpired", got, err)
	}
	if _, err := m.MintUntil("cookie", time.Time{}, claim{}); err == nil {
		t.Error("a token that expires before 1970 was made")
	}
}

func TestMintRefusesWhatNeverOpens(t *testing.T) {
	m := minter(t, 'a', nil)
	if _, err := m.Mint("invite", strings.Repeat("x", token.MaxLength)); err == nil {
		t.Error("a token longer than MaxLength was made")
	}
	if _, err := m.Mint("invite", func() {}); err == nil {
		t.Error("a func was made into a token")
	}
	if _, err := token.New(make([]byte, 31), nil); err == nil {
		t.Error("a short secret was taken")
	}
}

func FuzzOpen(f *testing.F) {
	m := minter(f, 'a', nil)
	good, err := m.Mint("invite", claim{"debate", "q4"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("")
	f.Add(good[:50])
	f.Add(strings.Repeat("A", 54))
	f.Fuzz(func(t *testing.T, text string) {
		var got claim
		err := m.Open("invite", text, &got)
		if (err == nil) != (text == good) {
			t.Fatalf("Open(%q) = %v", text, err)
		}
		if err != nil && got != (claim{}) {
			t.Fatalf("Open(%q) filled in %+v", text, got)
		}
	})
}
