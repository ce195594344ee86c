// Package natstest gives tests a log outside of their process: a NATS server that they stop and start
// again, and a relay before it that loses what they say.
package natstest
