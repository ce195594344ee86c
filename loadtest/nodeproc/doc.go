// Package nodeproc runs wedsync nodes as processes of their own and calls them from outside, as an
// operator and his programs do. Measurements and end-to-end tests are made with it.
//
//	n, err := nodeproc.Start(nodeproc.Config{Binary: "bin/wedsync", Dir: dir})
//	err = n.Ready(ctx)
//	api, err := n.Client()
//	err = api.Connect(ctx, integration, secrets)
//	n.Kill()                                       // or n.Stop(ctx)
//
// Each node has a goroutine that waits for its process; it ends with the process, and the process
// with this one, however that ends.
package nodeproc
