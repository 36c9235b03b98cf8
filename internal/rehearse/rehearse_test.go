package rehearse

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// refusing answers each path with a status and a problem.
func refusing(t *testing.T, answers map[string]func(http.ResponseWriter)) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			http.NotFound(rw, r)
			return
		}
		answer(rw)
	}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server
}

func text(status int, kind, body string) func(http.ResponseWriter) {
	return func(rw http.ResponseWriter) {
		rw.Header().Set("Content-Type", kind)
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(body))
	}
}

func TestWhatCantBeRehearsedIsRefused(t *testing.T) {
	aSpace := text(200, "application/json", `{"id":"hall","title":"Hall","phase":"live"}`)
	const space, rehearsals, problem = "GET /api/v1/spaces/hall", "POST /api/v1/spaces/hall/rehearsals", "application/problem+json"
	for name, c := range map[string]struct {
		answers map[string]func(http.ResponseWriter)
		want    string
	}{
		"another server":     {nil, "no Hustings server"},
		"a page everywhere":  {map[string]func(http.ResponseWriter){space: text(200, "text/html", "<html>")}, "no Hustings server"},
		"other JSON":         {map[string]func(http.ResponseWriter){space: text(200, "application/json", `{"id":7}`)}, "no Hustings server"},
		"another space":      {map[string]func(http.ResponseWriter){space: text(200, "application/json", `{"id":"x","phase":"live"}`)}, "no Hustings server"},
		"no such space":      {map[string]func(http.ResponseWriter){space: text(404, problem, `{"detail":"there is no space of this name"}`)}, "no space of this name"},
		"no rehearsals":      {map[string]func(http.ResponseWriter){space: aSpace}, "does not know rehearsals"},
		"wrong token":        {map[string]func(http.ResponseWriter){space: aSpace, rehearsals: text(401, problem, `{"detail":"this token is not valid here"}`)}, "owner.token"},
		"closed doors":       {map[string]func(http.ResponseWriter){space: aSpace, rehearsals: text(409, problem, `{"detail":"open the doors"}`)}, "open the doors"},
		"a permit of nobody": {map[string]func(http.ResponseWriter){space: aSpace, rehearsals: text(201, "application/json", `{"id":"x"}`)}, "no permit"},
		"a smaller permit":   {map[string]func(http.ResponseWriter){space: aSpace, rehearsals: text(201, "application/json", `{"id":"x","permit":"p","listeners":3}`)}, "no permit"},
	} {
		t.Run(name, func(t *testing.T) {
			server := refusing(t, c.answers)
			r, err := New(Options{URL: server.URL + "/s/hall", Token: "owner", Plan: testPlan})
			if err != nil {
				t.Fatal(err)
			}
			result, err := r.Run(t.Context())
			if err == nil || result != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		server := refusing(t, nil)
		server.Close()
		r, err := New(Options{URL: server.URL + "/s/hall", Token: "owner", Plan: testPlan})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot reach") {
			t.Errorf("%v", err)
		}
	})
}

func TestAReportThatIsNotSignedEndsTheRehearsalAllTheSame(t *testing.T) {
	ended := false
	const path = "/api/v1/spaces/hall/rehearsals/x"
	server := refusing(t, map[string]func(http.ResponseWriter){
		"POST " + path + "/report": text(422, "application/problem+json", `{"detail":"correct the figures"}`),
		"DELETE " + path: func(rw http.ResponseWriter) {
			ended = true
			rw.WriteHeader(http.StatusNoContent)
		},
	})
	r, err := New(Options{URL: server.URL + "/s/hall", Token: "owner", Plan: testPlan})
	if err != nil {
		t.Fatal(err)
	}
	var result Result
	r.report(t.Context(), "x", &result)
	if result.ReportErr == nil || !strings.Contains(result.ReportErr.Error(), "correct the figures") || !ended {
		t.Errorf("%v, ended: %v", result.ReportErr, ended)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{URL: "http://127.0.0.1:1/s/hall", Token: "owner", Plan: testPlan}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"link":    {func(o *Options) { o.URL = "hall" }, "not a link"},
		"token":   {func(o *Options) { o.Token = "" }, "HUSTINGS_OWNER_TOKEN"},
		"shape":   {func(o *Options) { o.Plan.Shape = "star" }, "no shape"},
		"nobody":  {func(o *Options) { o.Plan.Listeners = 0 }, "at least one"},
		"workers": {func(o *Options) { o.Workers = 5000 }, "--workers"},
	} {
		o := good
		c.change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
