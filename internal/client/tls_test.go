package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Whoever mixes up http and https, or has a certificate of their own, is told so.
func TestTroubleWithHTTPSSaysWhatToDo(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	plain := "http" + strings.TrimPrefix(s.URL, "https")
	for address, want := range map[string]string{
		plain + "/s/demo": "https://",
		s.URL + "/s/demo": "SSL_CERT_FILE",
	} {
		_, err := Listen(t.Context(), ListenOptions{URL: address, For: time.Second})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a hint at %s", address, err, want)
		}
	}
}
