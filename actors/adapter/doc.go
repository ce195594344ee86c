// Package adapter speaks the vendors' protocols: it turns events into their bodies, addresses and
// signs calls, says what their answers mean, and verifies and reads their webhooks. It sends
// nothing, holds no state but access tokens, starts no goroutine and knows no clock but the now it is
// given. What a vendor wants beside a call, such as a token, is asked for through the same sender.
//
// A vendor is one file, its test and its golden files; the file registers the vendor in init.
package adapter
