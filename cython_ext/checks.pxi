# What a run is checked against, so that the engine never reads what is not there.


cdef int check_arrays(Program program, tuple arrays, int64_t n_out, int64_t n_reduced, skk_array *views) except -1:
    """Refuse arrays that the engine would misread; fill the views."""
    cdef int k, ndim, type_number = cnp.NPY_FLOAT64 if program.is_double else cnp.NPY_FLOAT32
    cdef int64_t itemsize = 8 if program.is_double else 4
    cdef cnp.npy_intp *shape
    cdef cnp.npy_intp *strides
    if len(arrays) != program.n_variables:
        raise ValueError(f"expected {program.n_variables} arrays, got {len(arrays)}")
    for k in range(program.n_variables):
        a = arrays[k]
        if program.roles[k] == 0:
            continue
        if program.roles[k] >= 4:
            check_pairs(program, a, k, n_out, n_reduced, type_number, views)
            continue
        if not isinstance(a, np.ndarray) or cnp.PyArray_TYPE(a) != type_number:
            raise TypeError(f"array {k}: expected an ndarray of {'float64' if program.is_double else 'float32'}")
        if not cnp.PyArray_ISBEHAVED_RO(a):
            raise ValueError(f"array {k} is not aligned or not in native byte order")
        ndim = cnp.PyArray_NDIM(a)
        shape = cnp.PyArray_DIMS(a)
        strides = cnp.PyArray_STRIDES(a)
        if program.roles[k] == 3:
            if ndim != 1 or shape[0] != program.dims[k]:
                raise ValueError(f"array {k}: expected shape ({program.dims[k]},)")
            if views != NULL:
                views[k].s0, views[k].s1 = 0, strides[0] // itemsize
        else:
            n = n_out if program.roles[k] == 1 else n_reduced
            if ndim != 2 or shape[0] != n or shape[1] != program.dims[k]:
                raise ValueError(f"array {k}: expected shape ({n}, {program.dims[k]})")
            if views != NULL:
                views[k].s0, views[k].s1 = strides[0] // itemsize, strides[1] // itemsize
        if views != NULL:
            views[k].data = cnp.PyArray_DATA(a)
    return 0


cdef int check_pairs(Program program, a, int k, int64_t n_out, int64_t n_reduced, int type_number, skk_array *views) except -1:
    """The same for an array of pairs, or for one with the indices of its rows and of its columns."""
    cdef int out = 0 if program.roles[k] == 4 else 1
    cdef int64_t itemsize
    cdef cnp.npy_intp *strides
    cdef tuple places = ()
    if isinstance(a, tuple):
        a, *indices = a
        places = tuple(indices)
        if len(places) != 2:
            raise TypeError(f"array {k}: expected an ndarray with the indices of its rows and of its columns")
    if not isinstance(a, np.ndarray) or cnp.PyArray_TYPE(a) not in (type_number, cnp.NPY_BOOL, cnp.NPY_UINT8):
        raise TypeError(f"array {k}: expected an ndarray of {'float64' if program.is_double else 'float32'} or bool")
    if not cnp.PyArray_ISBEHAVED_RO(a):
        raise ValueError(f"array {k} is not aligned or not in native byte order")
    shape = (n_reduced, n_out, program.dims[k]) if out else (n_out, n_reduced, program.dims[k])
    if (*map(len, places), *a.shape[len(places):]) != shape:
        raise ValueError(f"array {k}: expected shape {shape}")
    for at, size in zip(places, a.shape):
        if not isinstance(at, np.ndarray) or cnp.PyArray_TYPE(at) != cnp.NPY_INT64 or not cnp.PyArray_IS_C_CONTIGUOUS(at):
            raise TypeError(f"array {k}: expected indices in C-contiguous arrays of int64")
        if len(at) and not 0 <= at.min() <= at.max() < size:
            raise ValueError(f"array {k}: expected indices from 0 to {size - 1}")
    if views != NULL:
        itemsize = cnp.PyArray_ITEMSIZE(a)
        strides = cnp.PyArray_STRIDES(a)
        views[k].is_bytes = itemsize == 1
        views[k].s0, views[k].s2 = strides[out] // itemsize, strides[1 - out] // itemsize
        views[k].s1 = strides[2] // itemsize
        views[k].data = cnp.PyArray_DATA(a)
        views[k].at0 = views[k].at2 = NULL
        if places:
            views[k].at0 = <const int64_t *>cnp.PyArray_DATA(places[out])
            views[k].at2 = <const int64_t *>cnp.PyArray_DATA(places[1 - out])
    return 0


cdef tuple check_ranges(Program program, ranges, int64_t n_out, int64_t n_reduced):
    """The three arrays, which stay inside of the output and of the reduced axis, and the number of pairs."""
    cdef int64_t b, k, end = 0, last = 0, pairs = 0, reduced
    cdef int64_t[:, ::1] rows, reds
    cdef int64_t[::1] slices
    if program.p.order != 0:
        raise ValueError("ranges need a program of lane order 0")
    rows, slices, reds = ranges
    if rows.shape[1] != 2 or reds.shape[1] != 2 or slices.shape[0] != rows.shape[0]:
        raise ValueError("ranges: expected shapes (B, 2), (B,) and (R, 2)")
    for k in range(reds.shape[0]):
        if not 0 <= reds[k, 0] <= reds[k, 1] <= n_reduced:
            raise ValueError(f"ranges: [{reds[k, 0]}, {reds[k, 1]}) is not within [0, {n_reduced})")
    for b in range(rows.shape[0]):
        if not last <= rows[b, 0] <= rows[b, 1] <= n_out:
            raise ValueError(f"ranges: rows [{rows[b, 0]}, {rows[b, 1]}) overlap, descend or exceed {n_out}")
        if not end <= slices[b] <= reds.shape[0]:
            raise ValueError(f"ranges: the slice up to {slices[b]} descends or exceeds {reds.shape[0]}")
        reduced = 0
        for k in range(end, slices[b]):
            reduced += reds[k, 1] - reds[k, 0]
            if reduced > MOST_PAIRS:
                break
        if reduced > (MOST_PAIRS - pairs) // max(1, rows[b, 1] - rows[b, 0]):
            raise ValueError("ranges: more than 2^60 pairs")
        pairs += reduced * (rows[b, 1] - rows[b, 0])
        last, end = rows[b, 1], slices[b]
    return rows, slices, reds, pairs
