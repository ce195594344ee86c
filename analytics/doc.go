// Package analytics moves what became of deliveries from the record log into ClickHouse and answers
// questions about it.
package analytics
