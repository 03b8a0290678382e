"""Old rows of log tables: counted first, archived where wanted, deleted in short batches, summed up for good."""
