package schema

import "regexp"

var (
	definition = regexp.MustCompile(`(?m)^((?:CREATE TABLE IF NOT EXISTS|CREATE MATERIALIZED VIEW IF NOT EXISTS|CREATE DATABASE IF NOT EXISTS|CREATE TABLE|ALTER TABLE|DROP TABLE IF EXISTS) \w+)`)
	engine     = regexp.MustCompile(`(?m)\bENGINE = (Aggregating)?MergeTree\b`)
	window     = regexp.MustCompile(`\bnon_replicated_deduplication_window\b`)
)

// OnCluster returns a statement as the servers of a cluster need it: each executes it, and the tables are replicated,
// at the path that the servers' default_replica_path says.
func OnCluster(statement, cluster string) string {
	statement = definition.ReplaceAllString(statement, "$1 ON CLUSTER '"+cluster+"'")
	statement = engine.ReplaceAllString(statement, "ENGINE = Replicated${1}MergeTree")
	return window.ReplaceAllString(statement, "replicated_deduplication_window")
}
