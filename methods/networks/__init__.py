"""Networks of the methods: generator, discriminator, encoders and the layers they share."""
