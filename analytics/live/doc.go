// Package live counts what became of the deliveries of a node in the last hour, in memory, so that there are numbers
// without ClickHouse too.
//
// A Book has a page a minute, of sixty: what ended and what was tried by vendor and by integration. The page of
// the minute that goes on is a map; when the minute is over it becomes an array of 48 bytes an integration and
// 2 to 4 for each bin of its latencies, and is never changed again. So 10,000 integrations that each deliver 30 times
// in each minute of the hour take 62 MB at most, ones that rest take nothing, and Config.MaxBytes bounds all of it:
// beyond, the oldest minutes go, and Report.Since tells.
//
// Latencies are kept in the bins of an HdrHistogram of one significant digit: a quantile is at most a sixteenth too
// high.
//
// Sheets of several nodes add up, as [Report.Add] does. The package starts no goroutines.
package live
