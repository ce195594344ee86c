// Command chaos breaks a cluster of three nodes on purpose, each node a process in a network namespace of its
// own, while clients publish and listen and vendors are called, and has loadtest/checker compare what all of them
// saw. See docs/chaos.md.
package main
