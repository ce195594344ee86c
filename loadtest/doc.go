// Package loadtest puts load on wedsync and counts at the far side what came of it. Package vendors
// below it simulates the vendors.
package loadtest
