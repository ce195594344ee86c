// Package admin is the page of those who run integrations, at /admin: what the API tells and does, for a browser.
//
// It holds no state of its own but sessions and what is shown live. All it knows and does comes from the functions
// of package api, called as api.Local for whoever is signed in: the same scopes, the same reach, the same audit
// records, the same errors.
//
// # A page
//
// A page is a pair of files: name.go has its route, its handler and its data, name.templ has what it looks like. To
// add one:
//
//  1. In name.go write a func (a *Admin) routeName(s *site) that calls s.page with its address, its place in
//     the navigation, the scope that a key needs to see it, and the handler; s.act for each thing that it does; s.part for a piece
//     that the page asks for by itself. Call it in Mount.
//  2. The handler gets a visit: the request, who makes it, and the API for them. It returns a screen: title, body, and
//     the parts that are live. A part is a component in an element with the part's id. The screen of a page that is open is
//     made anew every second for all who see the same, and the parts that differ are sent to them; the page's script puts
//     them in place of what is there, and leaves focus, scroll and what is being typed alone. That is all there is to do.
//  3. An act returns what is to be swapped into the target of its form (hx-post, hx-target). Its error, a problem,
//     becomes a notice; forms that show what is wrong beside their fields look at problem.Of(err).Errors.
//  4. Write name.templ, run "make generate", commit both. Use the classes of static/app.css before adding any, and no
//     style attributes, inline scripts or hx-on: the content security policy refuses them. A chart is @chart.
//  5. Add a file to loadtest/js/admin: which addresses are looked at, in both widths and themes, by axe, for errors in
//     the console and violations of the policy; and what must work on the page. TestAdminPage in loadtest/e2e runs it;
//     screenshots are in coverage/admin: look at them.
//
// What the API has and api.Local does not is one method there.
//
// # Goroutines
//
// One for each view that is open somewhere, however many see it, until the last of them goes or Shutdown is called.
package admin
