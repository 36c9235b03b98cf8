package web

import (
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// described is an operation that is not of the JSON API: the handlers of these have
// no types that would tell.
type described struct {
	method, path, id string
	summary          string
	status, answer   string // of success
	kind             string // media type of the answer; "": no body
	takes            string // media type of the body; "": none
	secured          bool   // needs a token
	query            []*huma.Param
}

// describe adds them to the description.
func describe(doc *huma.OpenAPI) {
	rung := []*huma.Param{{Name: "rung", In: "query", Description: "Rate in kb/s: the best, if absent", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"48", "24", "16"}}}}
	param := func(name, what string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: what, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	listening := append(rung,
		param("listener", "A random token of 8 to 64 letters, digits, - and _, the same over all connections of one listener, who is counted once"),
		param("rehearsal", "The permit of a rehearsal: whoever has one is not counted"),
		param("relay", "1 for a relay, whose listeners are counted elsewhere or not at all"))
	pushed := append(listening[:len(listening):len(listening)], param("follow", "1 for a page that follows the depth that it is told"))
	listed := append(listening[:len(listening):len(listening)], param("codec", "aac or opus; both, if absent"))
	signIn := []*huma.Param{{Name: "token", In: "query", Required: true, Description: "The owner's", Schema: &huma.Schema{Type: huma.TypeString}}}
	all := append(calls("whip", "Send a microphone to the stage (RFC 9725)"), calls("whep", "Hear the stage without oneself")...)
	all = append(all, []described{
		{method: "GET", path: apiPath + "/spaces/{id}/stage", id: "stage", summary: "The stage's WebSocket: say hello with a token, then follow the stage", status: "101", answer: "Upgraded"},
		{method: "GET", path: "/live/{id}.ogg", id: "live-ogg", summary: "The programme from the live edge", status: "200", answer: "Opus in Ogg (RFC 7845), until the space ends", kind: "audio/ogg", query: listening},
		{method: "GET", path: "/live/{id}.mp4", id: "live-mp4", summary: "The programme from the live edge", status: "200", answer: "Opus in fragmented MP4, the pulse as emsg boxes, until the space ends", kind: "audio/mp4", query: pushed},
		{method: "GET", path: "/live/{id}.m3u8", id: "live-hls", summary: "The programme by HTTP Live Streaming, with low latency", status: "200", answer: "A multivariant playlist, which names all else", kind: "application/vnd.apple.mpegurl", query: listed},
		{method: "GET", path: apiPath + "/renditions", id: "renditions", summary: "Which renditions this server makes, and why not others", status: "200", answer: "aac: available, reason", kind: "application/json"},
		{method: "GET", path: "/live/{id}/pulse", id: "pulse", summary: "The newest state that rides in the stream", status: "200", answer: "Who is on stage, who speaks, how many listen", kind: "application/json"},
		{method: "GET", path: "/live/{id}/b/{seq}.m4s", id: "block", summary: "One block of the programme", status: "200", answer: "A fragment of MP4; it never changes", kind: "audio/mp4", query: append(rung[:1:1], param("epoch", "Of the stage, which begins a new one when it starts again: the newest, if absent"))},
		{method: "GET", path: "/recordings/{id}.ogg", id: "recording-ogg", summary: "The recording", status: "200", answer: "Opus in Ogg; ranges work", kind: "audio/ogg"},
		{method: "GET", path: "/recordings/{id}.mp4", id: "recording-mp4", summary: "The recording", status: "200", answer: "Opus in MP4; ranges work", kind: "audio/mp4"},
		{method: "GET", path: "/recordings/{id}.json", id: "recording-json", summary: "What the recording holds", status: "200", answer: "Length, chapters, checkpoint, who spoke", kind: "application/json"},
		{method: "GET", path: "/signin", id: "signin", summary: "Trade the owner's token for a session of this browser", status: "303", answer: "Signed in; leads to the front page", query: signIn},
		{method: "GET", path: "/.well-known/hustings-keys.json", id: "keys", summary: "Public keys of the programme's log", status: "200", answer: "Verifier keys, as golang.org/x/mod/sumdb/note has them", kind: "application/json"},
		{method: "GET", path: "/healthz", id: "healthz", summary: "Whether the server runs", status: "200", answer: "It does", kind: "text/plain"},
		{method: "GET", path: "/readyz", id: "readyz", summary: "Whether it can do all of its work", status: "200", answer: "It can; 503 if not", kind: "text/plain"},
		{method: "GET", path: "/metrics", id: "metrics", summary: "Figures, for Prometheus", status: "200", answer: "In its text format", kind: "text/plain"},
	}...)
	for _, d := range all {
		doc.AddOperation(d.operation())
	}
}

// calls describes the signalling of one direction.
func calls(name, what string) []described {
	base := apiPath + "/spaces/{id}/" + name
	return []described{
		{method: "POST", path: base, id: name, summary: what, takes: sdpType, status: "201", answer: "Location names the session, ETag its ICE session", kind: sdpType, secured: true},
		{method: "PATCH", path: base + "/{session}", id: name + "-patch", summary: "Trickle candidates, or restart ICE (If-Match: the ETag, or *)", takes: fragmentType, status: "204", answer: "Taken; 200 with a fragment and a new ETag after a restart", secured: true},
		{method: "DELETE", path: base + "/{session}", id: name + "-leave", summary: "Leave", status: "200", answer: "Left", secured: true},
	}
}

// inPath finds the parameters in a path.
var inPath = regexp.MustCompile(`\{(\w+)\}`)

func (d described) operation() *huma.Operation {
	body := func(kind string) map[string]*huma.MediaType {
		switch {
		case kind == "":
			return nil
		case strings.HasPrefix(kind, "audio/"):
			return map[string]*huma.MediaType{kind: {}} // bytes have no schema
		case kind == "application/json":
			return map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: huma.TypeObject}}}
		default:
			return map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: huma.TypeString}}}
		}
	}
	op := &huma.Operation{Method: d.method, Path: d.path, OperationID: d.id, Summary: d.summary, Parameters: d.query, Responses: map[string]*huma.Response{
		d.status:  {Description: d.answer, Content: body(d.kind)},
		"default": {Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/ErrorModel"}}}},
	}}
	for _, match := range inPath.FindAllStringSubmatch(d.path, -1) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: match[1], In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	if d.takes != "" {
		op.RequestBody = &huma.RequestBody{Required: true, Content: body(d.takes)}
	}
	if d.secured {
		op.Security = []map[string][]string{{"token": {}}}
	}
	return op
}
