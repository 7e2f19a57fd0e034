"""Files on disk -> batches: readers, cache, paired identity sampler, transforms, the one LightningDataModule."""
