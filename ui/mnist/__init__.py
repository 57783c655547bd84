"""Parts of the page MNIST."""
