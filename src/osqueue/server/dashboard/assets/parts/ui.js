// What the views are made of. One door, so that a view has one import; each part has its own file.

export { Badge } from "./badge.js";
export { Button } from "./button.js";
export { now, useNow } from "./clock.js";
export { Copy } from "./copy.js";
export { Dialog, Dialogs, confirm, openDialog } from "./dialog.js";
export { Empty, ErrorBox, Skeleton } from "./empty.js";
export {
  Fragment, classes, html, useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "./html.js";
export { Json } from "./json.js";
export { may } from "./may.js";
export { Card, Field, Page, Segments, Stat } from "./layout.js";
export { Bar, Progress } from "./progress.js";
export { Sparkline } from "./sparkline.js";
export { StandsBy, standsBy } from "./stands_by.js";
export { Table } from "./table.js";
export { Elapsed, Time } from "./time.js";
export { Toasts, toast } from "./toast.js";
export { useLoad } from "./load.js";
