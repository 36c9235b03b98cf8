// Package rtc carries Opus between browsers and the stage by WebRTC. It knows
// sessions, not seats: what comes in goes to a function, what goes out comes from
// an Outlet, and who that is and what it means is up to the caller.
//
// A Network is one UDP port for all sessions, and ICE-TCP beside it for those whose
// network lets nothing else through. A Session is one WHIP (RFC 9725) or WHEP
// connection: offered and answered once with all our candidates, patched by
// fragments (RFC 8840) with more of the client's candidates, or with new
// credentials, which restart ICE, so that a phone may go from Wi-Fi to mobile and
// keep talking.
//
// What a client sends is bounded in size, and an answer in time.
package rtc
