package vendors

import "context"

// StudioCloud simulates the service before a studio's Studio Cloud account.
type StudioCloud struct{ *photoCRM }

var _ Sender = (*StudioCloud)(nil)

// StartStudioCloud starts the simulator. ctx bounds the start only.
func StartStudioCloud(ctx context.Context, cfg Config) (*StudioCloud, error) {
	return startPhotoCRM(ctx, "studiocloud", "Studio Cloud", cfg, func(s *photoCRM) *StudioCloud { return &StudioCloud{s} })
}
