package vendors

import "context"

// ShootQ simulates the service before a studio's ShootQ account.
type ShootQ struct{ *photoCRM }

var _ Sender = (*ShootQ)(nil)

// StartShootQ starts the simulator. ctx bounds the start only.
func StartShootQ(ctx context.Context, cfg Config) (*ShootQ, error) {
	return startPhotoCRM(ctx, "shootq", "ShootQ", cfg, func(s *photoCRM) *ShootQ { return &ShootQ{s} })
}
