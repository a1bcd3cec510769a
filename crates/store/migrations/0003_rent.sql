-- What accounts that an order made have locked, in lamports; null until it is filled.

ALTER TABLE orders ADD COLUMN rent ANY CHECK (typeof(rent) <> 'real');
