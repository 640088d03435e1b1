/** Does nothing, with an outcome that another place has reported, or with none. */
export const ignore = (): void => undefined;
