package analytics_test

func maybeRecord() {}
